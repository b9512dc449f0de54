"""Values that are no text: msgpack, and what is told apart to be quarantined instead of ignored."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from collector.envelopes.identities import DECODE_ERRORS

_decode_msgpack: Final = msgspec.msgpack.Decoder().decode
# What no text begins with: control characters, and bytes that begin no character of UTF-8.
_binary: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xc1\xf5-\xff]").match
_msgpack_map: Final = re.compile(rb"[\x81-\x8f\xde\xdf]").match


def is_binary(value: bytes) -> bool:
    """Whether a value is certainly no text, by its first byte."""
    return _binary(value) is not None


def msgpack_record(value: bytes) -> bytes | None:
    """A record of Fluent Bit's or Fluentd's format `msgpack` as JSON; None: it is none."""
    if not _msgpack_map(value):
        return None
    try:
        return msgspec.json.encode(_decode_msgpack(value))
    except (*DECODE_ERRORS, TypeError):
        return None
