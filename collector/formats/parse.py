"""From a line to an access log: every line ends in exactly one of three ways.

An access log; `Ignored`, because it is none; or `Quarantined`, because it claims to be one and
cannot be read. Nothing here raises.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from collector.formats.istio_json import parse_json
from collector.formats.istio_text import looks_like_text, parse_text
from collector.records import AccessLog


class Ignored(msgspec.Struct, frozen=True):
    """A line that is no HTTP access log. It still shows that its pod's log is alive."""

    reason: str


class Quarantined(msgspec.Struct, frozen=True):
    """A line that looks like an access log and cannot be read, or is too large."""

    reason: str


MAX_LINE_CHARACTERS: Final = 128 * 1024
"""Longest line that is parsed; Envoy refuses headers above 60 KiB by default."""

MAX_DURATION_MS: Final = 7 * 24 * 3600 * 1000
MAX_CODE: Final = 999
_EARLIEST_US: Final = 946_684_800_000_000  # 2000-01-01: before it, a clock was never set
_LATEST_US: Final = 4_102_444_800_000_000  # 2100-01-01

# What every HTTP access log has, whatever stands before it: `… HTTP/1.1" 200 …`.
_has_request: Final = re.compile(r' HTTP/[\d.]{1,3}" \d{1,3} ').search

_NOT_AN_ACCESS_LOG: Final = Ignored("not an access log")
_NOT_HTTP: Final = Ignored("not HTTP")
_TOO_LONG: Final = Quarantined("line too long")
_BEHIND_PREFIX: Final = Quarantined("looks like an access log behind an unknown prefix")
_UNREADABLE: Final = Quarantined("looks like an access log of no known format")
_BAD_VALUE: Final = Quarantined("a field has an impossible value")


def parse_line(line: str) -> AccessLog | Ignored | Quarantined:
    """Reads one line as the proxy wrote it, in any known format.

    Args:
        line: One line without its newline and without a shipper's envelope.
    """
    if len(line) > MAX_LINE_CHARACTERS:
        return _TOO_LONG
    if line[:1] == "[":
        log = parse_text(line)
        if log is None:
            return _UNREADABLE if looks_like_text(line) else _NOT_AN_ACCESS_LOG
    elif line[:1] == "{":
        try:
            log = parse_json(line)
        except (ValueError, OverflowError):
            return _BAD_VALUE
        if log is None:
            return _NOT_AN_ACCESS_LOG
    else:
        # Behind a prefix that nobody knows, it is evidence that cannot be read, not no evidence.
        return _BEHIND_PREFIX if _has_request(line) else _NOT_AN_ACCESS_LOG
    if not log.method and not log.code:
        return _NOT_HTTP  # a TCP connection, or one that matched no filter chain
    if not _EARLIEST_US <= log.start_us < _LATEST_US or log.duration_ms > MAX_DURATION_MS:
        return _BAD_VALUE
    if log.code > MAX_CODE:
        return _BAD_VALUE
    return log
