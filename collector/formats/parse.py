"""From a line to an access log: every line ends in exactly one of three ways.

An access log; `Ignored`, because it is none; or `Quarantined`, because it claims to be one and
cannot be read. Nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from collector.errors import UsageError
from collector.formats.custom_json import JsonFormat
from collector.formats.custom_text import TextFormat
from collector.formats.istio_json import parse_json
from collector.formats.istio_text import looks_like_text, parse_text
from collector.formats.known import JSON, NEWEST, default_json, newest_text, older_texts
from collector.records import AccessLog


class Ignored(msgspec.Struct, frozen=True):
    """A line that is no HTTP access log. It still shows that its pod's log is alive."""

    reason: str


class Quarantined(msgspec.Struct, frozen=True):
    """A line that looks like an access log and cannot be read, or is too large."""

    reason: str


Format = TextFormat | JsonFormat
Parsed = AccessLog | Ignored | Quarantined
ReadLine = Callable[[str], Parsed]
"""Reads one line; see `LineParser.parse`."""
_Parse = Callable[[str], AccessLog | None]

MAX_LINE_CHARACTERS: Final = 128 * 1024
"""Longest line that is parsed; Envoy refuses headers above 60 KiB by default."""

MAX_DURATION_MS: Final = 7 * 24 * 3600 * 1000
MAX_CODE: Final = 999
_EARLIEST_US: Final = 946_684_800_000_000  # 2000-01-01: before it, a clock was never set
_LATEST_US: Final = 4_102_444_800_000_000  # 2100-01-01

# What every HTTP access log has, whatever stands before it: `… HTTP/1.1" 200 …`.
_has_request: Final = re.compile(r' HTTP/[\d.]{1,3}" \d{1,3} ').search

# What begins so is of no format whose beginning is unknown.
_NEVER_PREFIXES: Final = frozenset("[{")

_NOT_AN_ACCESS_LOG: Final = Ignored("not an access log")
_NOT_HTTP: Final = Ignored("not HTTP")
_TOO_LONG: Final = Quarantined("line too long")
_BEHIND_PREFIX: Final = Quarantined("looks like an access log behind an unknown prefix")
_UNREADABLE: Final = Quarantined("looks like an access log of no known format")
_BAD_VALUE: Final = Quarantined("a field has an impossible value")


class LineParser:
    """Reads lines of all formats in force: the known defaults, and those that a user names.

    A user's format that looks like a default one takes its place; all others are tried when a
    line is of no default format.

    Args:
        formats: The user's.

    Raises:
        UsageError: Two of them look alike and mean different things.
    """

    def __init__(self, formats: Sequence[Format] = ()) -> None:
        self._names: Final[dict[int, str]] = {}
        self._first: Final[list[TextFormat]] = []
        self._later: Final[list[TextFormat]] = []
        self._jsons: Final[list[JsonFormat]] = []
        # Text that looks like JSON, but whose quotes are not escaped: it is read as text.
        self._braced: Final[list[TextFormat]] = []
        shapes: dict[object, int] = {}
        for number, one in enumerate(formats, 1):
            twin = shapes.setdefault(one.shape(), number)
            if twin != number and not one.fields.same_as(formats[twin - 1].fields):
                raise UsageError(
                    f"access-log formats {twin} and {number} look alike and mean different "
                    "things: a line could be of either; give only one of them"
                )
            if twin == number:
                self._names[id(one)] = f"format {number}"
                self._add(one)
        self._has_rivals: Final = len(self._jsons) > 1 or any(
            one.takes_defaults for one in self._jsons
        )
        self._has_jsons: Final = bool(self._jsons or self._braced)
        self.has_texts: Final = bool(self._first or self._later)
        """Whether a line of text may be of another format than the defaults."""

    def _add(self, one: Format) -> None:
        if isinstance(one, JsonFormat):
            if one.shape() != default_json().shape() or not one.fields.same_as(
                default_json().fields
            ):
                self._jsons.append(one)
            return
        twins = [
            known
            for known in (newest_text(), *older_texts().values())
            if known.shape() == one.shape()
        ]
        if not twins:
            is_braced = one.layout.literals[0].startswith("{")
            (self._braced if is_braced else self._later).append(one)
        elif not any(one.fields.same_as(known.fields) for known in twins):
            self._first.append(one)

    def parse(self, line: str) -> Parsed:
        """Reads one line as the proxy wrote it.

        Args:
            line: One line without its newline and without a shipper's envelope.
        """
        first = line[:1]
        if len(line) <= MAX_LINE_CHARACTERS and not self._first:  # nearly all lines end here
            if first == "[":
                log = parse_text(line)
                if log is not None and not (log.ambiguous and self.has_texts):
                    return _checked(log)
            elif first == "{" and not self._has_jsons:
                try:
                    log = parse_json(line)
                except (ValueError, OverflowError):
                    log = None
                if log is not None:
                    return _checked(log)
        return self.identify(line)[0]

    def identify(self, line: str) -> tuple[Parsed, str]:
        """As `parse`, and the name of the format; empty when it is of none."""
        if len(line) > MAX_LINE_CHARACTERS:
            return _TOO_LONG, ""
        log, name = self._read_json(line) if line[:1] == "{" else self._read_text(line)
        return (_checked(log) if isinstance(log, AccessLog) else log), name

    def _read_text(self, line: str) -> tuple[Parsed, str]:
        """Reads a line as the first format that fits for sure, else as the first that may fit.

        A line of a format with one more quoted field is an ambiguous one of the other: so what is
        sure goes first.
        """
        looks_like = line[:1] == "[" and looks_like_text(line)
        guess: tuple[AccessLog, str] | None = None
        for parse, name in self._text_order(looks_like=looks_like):
            log = parse(line)
            if log is not None and not log.ambiguous:
                return log, name
            if log is not None and guess is None:
                guess = log, name
        if guess is not None:
            return guess
        if looks_like or any(one.looks_like(line) for one in (*self._first, *self._later)):
            return _UNREADABLE, ""
        # Behind a prefix that nobody knows, it is evidence that cannot be read, not no evidence.
        has_request = line[:1] not in _NEVER_PREFIXES and _has_request(line)
        return (_BEHIND_PREFIX if has_request else _NOT_AN_ACCESS_LOG), ""

    def _text_order(self, *, looks_like: bool) -> Iterator[tuple[_Parse, str]]:
        """The text formats to try; the defaults only when a line looks like them."""
        for one in self._first:
            yield one.parse, self._names[id(one)]
        if looks_like:
            yield parse_text, NEWEST
            yield from ((older.parse, name) for name, older in older_texts().items())
        for one in self._later:
            yield one.parse, self._names[id(one)]

    def _read_json(self, line: str) -> tuple[Parsed, str]:
        failed = False
        for one in self._braced:
            log = one.parse(line)
            if log is not None:
                return log, self._names[id(one)]
        for parse, name in self._json_order(line):
            try:
                log = parse(line)
            except (ValueError, OverflowError):
                failed = True
                continue
            if log is not None:
                return log, name
        return (_BAD_VALUE if failed else _NOT_AN_ACCESS_LOG), ""

    def _json_order(self, line: str) -> list[tuple[_Parse, str]]:
        """The JSON formats to try; those with keys in common by how many of theirs are there."""
        own = [(one.parse, self._names[id(one)]) for one in self._jsons]
        if not self._has_rivals:
            return [(parse_json, JSON), *own]
        likeness = [one.likeness(line) for one in self._jsons]
        ranked = [
            *zip(likeness, own, strict=True),
            (default_json().likeness(line), (parse_json, JSON)),
        ]
        return [choice for _, choice in sorted(ranked, key=lambda pair: pair[0], reverse=True)]


def _checked(log: AccessLog) -> Parsed:
    """An access log of an HTTP request, with possible times; or what it is instead."""
    if not log.method and not log.code:
        return _NOT_HTTP  # a TCP connection, or one that matched no filter chain
    if not _EARLIEST_US <= log.start_us < _LATEST_US or log.duration_ms > MAX_DURATION_MS:
        return _BAD_VALUE
    if log.code > MAX_CODE:
        return _BAD_VALUE
    return log


parse_line: Final = LineParser().parse
"""Reads one line of any known default format."""
