"""What of a line people may see. Applied before anything is stored.

Keys are hashed before this (`collector.keys`): redaction never changes a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

HIDDEN: Final = "***"
"""Stands for a hidden value; no Envoy logs it unencoded in a query by itself."""
KEEP_ALL: Final = "*"
_query: Final = re.compile(rb'\?([^\s"]*)')
# How `&` is written in JSON by some encoders, too.
_between: Final = re.compile(rb"(&|\\u0026)")
MAX_PATH: Final = 4_096
MAX_TEXT: Final = 512
"""Characters stored of a path, and of any other field. Attackers choose their lengths."""
_LONGEST_CACHED: Final = 500
"""Characters: a cache of long paths would fill memory."""


def scrub(text: str, limit: int = MAX_TEXT) -> str:
    """A text that both databases can hold: no NUL, no lone surrogates, bounded."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


class PathRedactor:
    """Hides the values of query parameters.

    Args:
        keep: Names of parameters whose values stay; `*` keeps everything.
    """

    def __init__(self, keep: Iterable[str] = ()) -> None:
        self._keep = frozenset(keep)
        self._known = lru_cache(maxsize=8192)(self._redact)

    def redact(self, path: str) -> str:
        """The path, with its query values hidden, ready to be stored."""
        return self._known(path) if len(path) <= _LONGEST_CACHED else self._redact(path)

    def _redact(self, path: str) -> str:
        plain, question, query = path.partition("?")
        if not question or KEEP_ALL in self._keep:
            return scrub(path, MAX_PATH)
        parts = (self._parameter(part) for part in query.split("&"))
        return scrub(f"{plain}?{'&'.join(parts)}", MAX_PATH)

    def redact_bytes(self, value: bytes) -> bytes:
        """Bytes in which no line could be read, with whatever looks like a query hidden."""
        if KEEP_ALL in self._keep or b"?" not in value:
            return value
        return _query.sub(lambda found: b"?" + self._redact_query(found[1]), value)

    def _redact_query(self, query: bytes) -> bytes:
        parts = _between.split(query)
        parts[::2] = [self._parameter(p.decode("latin-1")).encode("latin-1") for p in parts[::2]]
        return b"".join(parts)

    def _parameter(self, part: str) -> str:
        name, equals, _ = part.partition("=")
        if name in self._keep:
            return part
        # A part without a name is a value by itself: `/reset?s3cr3t`.
        return f"{name}={HIDDEN}" if equals else HIDDEN if part else ""
