"""From bytes to lines to observations: the whole pure path of one record.

Every byte string ends in exactly one of three ways per line: an access log, `Ignored` (it is no
access log) or `Quarantined` (it claims to be one and cannot be trusted). Nothing here raises.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collector.records import AccessLog


class Ignored(msgspec.Struct, frozen=True):
    """A line that is no HTTP access log. It still shows that its pod's log is alive."""

    reason: str


class Quarantined(msgspec.Struct, frozen=True):
    """A line that looks like an access log and cannot be read, or is too large."""

    reason: str


MAX_LINE_BYTES: Final = 128 * 1024
"""Longest line that is parsed; Envoy's default header limit is 60 KiB."""


def parse_line(line: str) -> AccessLog | Ignored | Quarantined:
    """Reads one line as the proxy wrote it, in any known format.

    Args:
        line: One line without its newline and without a shipper's envelope.
    """
    raise NotImplementedError(line)  # replaced within the hour; the contract is final
