"""Looks at a sample: which shapes and formats its lines have, and what they lack. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from collector.envelopes.found import Heartbeat, Piece, RawLine
from collector.envelopes.unwrap import unwrap
from collector.formats.known import (
    ISTIO_JSON,
    JSON,
    NEWEST,
    default_json,
    newest_text,
    older_texts,
)
from collector.formats.own_pod import writer_of
from collector.formats.parse import Format, Ignored, LineParser, Quarantined
from collector.records import AccessLog, Identity
from verifier.sample.needs import Need, cuts, lacks
from verifier.sample.shapes import shape_of

MAX_LINES: Final = 200_000
"""Lines that are looked at; more show nothing new."""
_MAX_KINDS: Final = 100
_NOBODY: Final = Identity()


class Kind(msgspec.Struct):
    """Lines of one shape and format.

    Attributes:
        shape: How they are wrapped.
        what: `access log`, `ambiguous`, `ignored` or `quarantined`.
        format: The name of the format, or why there is none.
        count: How many.
        line: Number of the first one, from 1.
        unnamed: How many of them name no pod.
    """

    shape: str
    what: str
    format: str
    count: int = 0
    line: int = 0
    unnamed: int = 0


class Look(msgspec.Struct):
    """What a sample is.

    Attributes:
        lines: How many lines were looked at.
        complete: There were no more.
        kinds: The most frequent first.
        lacking: What the formats that were seen lack, by their names.
    """

    lines: int
    complete: bool
    kinds: list[Kind]
    lacking: dict[str, list[Need]]

    def total(self, *what: str) -> int:
        """How many lines are one of these."""
        return sum(kind.count for kind in self.kinds if kind.what in what)

    @property
    def usable(self) -> bool:
        """Whether most lines that are access logs can be verified."""
        bad = self.total("ambiguous", "quarantined")
        errors = [need for found in self.lacking.values() for need in found]
        good = self.total("access log")
        return good > bad and not any(need.severity == "error" for need in errors)


def look(lines: Iterable[bytes], formats: Sequence[Format] = ()) -> Look:
    """Looks at lines of a file, or at Kafka values.

    Args:
        lines: Without their newlines; at most `MAX_LINES` are read.
        formats: Of the user, to try besides the known ones.

    Raises:
        UsageError: Two of the formats look alike.
    """
    parser = LineParser(formats)
    kinds: dict[tuple[str, str, str], Kind] = {}
    keys: set[str] = set()
    number, complete = 0, True
    for number, line in enumerate(lines, 1):
        if number > MAX_LINES:
            number, complete = MAX_LINES, False
            break
        if line.strip():
            _count(kinds, parser, line, number, keys)
    found = sorted(kinds.values(), key=lambda kind: (-kind.count, kind.line))
    named = {kind.format for kind in found if kind.what in ("access log", "ambiguous")}
    lacking = {name: _lacking(name, formats, keys) for name in sorted(named)}
    return Look(number, complete, found, lacking)


def _count(
    kinds: dict[tuple[str, str, str], Kind],
    parser: LineParser,
    line: bytes,
    number: int,
    keys: set[str],
) -> None:
    """Counts what is in a line."""
    shape = shape_of(line)
    for found in unwrap(line):
        what, name, who = "ignored", "", _NOBODY
        if isinstance(found, RawLine):
            log, name = parser.identify(found.text)
            who = found.identity
            if isinstance(log, AccessLog):
                what = "ambiguous" if log.ambiguous else "access log"
                who = writer_of(log, who)
                if name == JSON:
                    keys.update(key for key in _KEYS if f'"{key}":' in found.text)
            else:
                what = "ignored" if isinstance(log, Ignored) else "quarantined"
                name = log.reason
        elif isinstance(found, Quarantined):
            what, name = "quarantined", found.reason
        elif isinstance(found, Piece):
            name = "a piece of a line, joined with the next"
        elif isinstance(found, Heartbeat):
            name = "heartbeat"
        key = (shape, what, name)
        if key not in kinds and len(kinds) >= _MAX_KINDS:
            key = ("other shapes", what, "of many kinds")
        kind = kinds.setdefault(key, Kind(*key, line=number))
        kind.count += 1
        kind.unnamed += not who.pod


_FIELDS: Final = {
    key: name
    for name, operator in default_json().fields.chosen.items()
    for key, text in ISTIO_JSON.items()
    if text == operator.text
} | {"attempt_count": "attempt", "stream_id": "stream_id"}
_KEYS: Final = tuple(_FIELDS)


def _lacking(name: str, formats: Sequence[Format], keys: set[str]) -> list[Need]:
    """What a format lacks; of JSON the keys that were seen count."""
    if name == JSON:
        return lacks({_FIELDS[key] for key in keys})
    if name == NEWEST:
        return lacks(newest_text().fields.chosen.keys())
    if name in older_texts():
        return lacks(older_texts()[name].fields.chosen.keys())
    fields = formats[int(name.rpartition(" ")[2]) - 1].fields
    return cuts(fields) + lacks(fields.chosen.keys())
