"""Compiles the format of a START_TIME into a function that reads it.

Source: Envoy docs (`%s`, `%f`, `%3f`), and Abseil's time library for all else (`%E3S`, `%Ez`, …).
Names of days and months are English: Envoy formats in the C locale.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from collector.formats.timestamps import parse_time

ReadTime = Callable[[str], int]
"""Text to µs since the epoch. Raises ValueError."""

DEFAULT: Final = "%Y-%m-%dT%H:%M:%E3SZ"
DEFAULT_LOCAL: Final = "%Y-%m-%dT%H:%M:%E3S%z"

_MONTHS: Final = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6,
    "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}  # fmt: skip
_SHORT: Final = {
    "D": "%m/%d/%y", "F": "%Y-%m-%d", "R": "%H:%M", "T": "%H:%M:%S", "X": "%H:%M:%S",
    "c": "%a %b %e %H:%M:%S %Y", "h": "%b", "r": "%I:%M:%S %p", "x": "%m/%d/%y",
}  # fmt: skip
_LITERAL: Final = {"ET": "T", "n": "\n", "t": "\t", "%": "%"}
# What each specifier writes: name of what is read of it (none: it is skipped), pattern, and how
# many characters (0: that differs).
_READ: Final[dict[str, tuple[str, str, int]]] = {
    "Y": ("year", r"\d{4}", 4), "E4Y": ("year", r"\d{4}", 4), "y": ("short_year", r"\d\d", 2),
    "m": ("month", r"\d\d", 2), "d": ("day", r"\d\d", 2), "e": ("day", r"[ \d]\d", 2),
    "j": ("year_day", r"\d{3}", 3), "b": ("month_name", r"[A-Z][a-z]{2}", 3),
    "B": ("month_name", r"[A-Z][a-z]{2,8}", 0),
    "a": ("", r"[A-Z][a-z]{2}", 3), "A": ("", r"[A-Z][a-z]{5,8}", 0),
    "H": ("hour", r"\d\d", 2), "k": ("hour", r"[ \d]\d", 2),
    "I": ("half_hour", r"\d\d", 2), "l": ("half_hour", r"[ \d]\d", 2), "p": ("half", "AM|PM", 2),
    "M": ("minute", r"\d\d", 2), "S": ("second", r"\d\d", 2),
    "s": ("epoch", r"\d{10}", 10), "f": ("fraction", r"\d{9}", 9),
    "E*S": ("seconds", r"\d\d(?:\.\d{1,15})?", 0), "E*f": ("fraction", r"\d{1,15}", 0),
    "z": ("zone", r"[-+]\d{4}", 5), "Ez": ("zone", r"[-+]\d\d:\d\d", 6),
    ":z": ("zone", r"[-+]\d\d:\d\d", 6), "E*z": ("zone", r"[-+]\d\d:\d\d:\d\d", 9),
    "Z": ("", r"[A-Za-z0-9+-]{1,9}", 0), "u": ("", r"\d", 1), "w": ("", r"\d", 1),
    "U": ("", r"\d\d", 2), "V": ("", r"\d\d", 2), "W": ("", r"\d\d", 2), "g": ("", r"\d\d", 2),
    "G": ("", r"\d{4}", 4), "C": ("", r"\d\d", 2),
}  # fmt: skip
# Which characters a pattern can match, told by what stands in it.
_HOLDS: Final = {"[A-Z": r"A-Za-z+\-", "AM": "AMP", "[-+]": r":+\-", r"\.": r"\.", "[ ": " "}
_SPECIFIER: Final = re.compile(r"%(E\*[Sfz]|E\d{1,2}[Sf]|E4Y|ET|Ez|:z|[1-9]f|[A-Za-z%]|)")


class TimeError(ValueError):
    """A format of START_TIME from which no moment can be read; the message says why."""


def compile_time(text: str | None, *, local: bool = False) -> ReadTime:
    """A function that reads what Envoy writes for this format.

    Args:
        text: What stands in the brackets of START_TIME; None or empty: Envoy's default.
        local: Of START_TIME_LOCAL, whose zone is unknown unless it is written, too.

    Raises:
        TimeError: It has an unknown specifier, or shows no moment.
    """
    text = text or (DEFAULT_LOCAL if local else DEFAULT)
    if text == DEFAULT and not local:
        return parse_time
    pattern = _pattern(text)
    _require_moment(text, pattern.names, local=local)
    match = re.compile(pattern.expression, re.ASCII).fullmatch
    read = _read_epoch if "epoch" in pattern.names else _read_date

    @lru_cache(maxsize=4096)  # many lines start in one millisecond
    def read_time(value: str) -> int:
        fields = match(value)
        if fields is None:
            raise ValueError(value)
        return read({name: part for name, part in fields.groupdict("").items() if part})

    return read_time


class _Pattern(NamedTuple):
    """The regular expression of a format, and what it tells."""

    expression: str
    names: frozenset[str]
    kind: str
    size: int


def time_kind(text: str | None, *, local: bool = False) -> tuple[str, int]:
    """What a time of this format may hold: a class of characters, and how many; 0: that differs.

    Raises:
        TimeError: as `compile_time`.
    """
    pattern = _pattern(text or (DEFAULT_LOCAL if local else DEFAULT))
    return pattern.kind, pattern.size


def _pattern(text: str) -> _Pattern:
    """What a format writes. Raises TimeError."""
    text = _SPECIFIER.sub(lambda found: _SHORT.get(found[1], found[0]), text)
    expression, names, kinds, sizes, place = "", set[str](), {r"\d"}, list[int](), 0
    for found in _SPECIFIER.finditer(text):
        literal = text[place : found.start()] + _LITERAL.get(found[1], "")
        expression += re.escape(literal)
        kinds.update(re.escape(char) for char in literal)
        sizes += [1] * len(literal)
        place = found.end()
        if found[1] in _LITERAL:
            continue
        name, inner, size = _specifier(found[1])
        first = name and name not in names
        expression += f"(?P<{name}>{inner})" if first else f"(?:{inner})"
        names.add(name)
        kinds.update(chars for sign, chars in _HOLDS.items() if sign in inner)
        sizes.append(size)
    rest = text[place:]
    kinds.update(re.escape(char) for char in rest)
    return _Pattern(
        expression + re.escape(rest),
        frozenset(names),
        f"[{''.join(sorted(kinds))}]",
        sum(sizes) + len(rest) if all(sizes) else 0,
    )


def _specifier(specifier: str) -> tuple[str, str, int]:
    """Name, pattern and size of one specifier. Raises TimeError."""
    if specifier in _READ:
        return _READ[specifier]
    text = specifier.strip("EfS")
    digits = int(text) if text.isdecimal() else 0
    if 1 <= digits <= 15:
        if specifier[-1] == "S":
            return "seconds", rf"\d\d\.\d{{{digits}}}", 3 + digits
        return "fraction", rf"\d{{{digits}}}", digits
    raise TimeError(f"unknown specifier %{specifier}")


def _require_moment(text: str, names: frozenset[str], *, local: bool) -> None:
    """Raises TimeError when the format does not tell a moment to the second."""
    if "epoch" in names:
        return
    day = names & {"year", "short_year"} and (
        "year_day" in names or ("day" in names and names & {"month", "month_name"})
    )
    hour = "hour" in names or {"half_hour", "half"} <= names
    if not (day and hour and "minute" in names and names & {"second", "seconds"}):
        raise TimeError(
            f"{text!r} shows no date and time down to the second; use %START_TIME% or "
            "%START_TIME(%s.%3f)%"
        )
    if local and "zone" not in names:
        raise TimeError(
            "a local time without its zone may be hours off; use %START_TIME%, or add %Ez"
        )


def _fraction_us(digits: str) -> int:
    return int(digits[:6].ljust(6, "0"))


def _read_epoch(fields: dict[str, str]) -> int:
    return int(fields["epoch"]) * 1_000_000 + _fraction_us(fields.get("fraction", ""))


def _read_date(fields: dict[str, str]) -> int:
    """µs since the epoch of a date and time. Raises ValueError, OverflowError."""
    seconds, _, fraction = fields.get("seconds", fields.get("second", "0")).partition(".")
    fraction = fraction or fields.get("fraction", "")
    year = int(fields.get("year") or f"20{fields['short_year']}")
    if "year_day" in fields:
        day = datetime(year, 1, 1, tzinfo=UTC) + timedelta(int(fields["year_day"]) - 1)
    else:
        day = datetime(year, _month(fields), int(fields["day"]), tzinfo=UTC)
    moment = day + timedelta(
        hours=_hour(fields), minutes=int(fields["minute"]), seconds=int(seconds)
    )
    whole = int(moment.timestamp()) - _zone_seconds(fields.get("zone", ""))
    return whole * 1_000_000 + _fraction_us(fraction)


def _month(fields: dict[str, str]) -> int:
    if "month" in fields:
        return int(fields["month"])
    found = _MONTHS.get(fields["month_name"][:3])
    if found is None:
        raise ValueError("no month")
    return found


def _hour(fields: dict[str, str]) -> int:
    if "hour" in fields:
        return int(fields["hour"])
    return int(fields["half_hour"]) % 12 + (12 if fields["half"] == "PM" else 0)


def _zone_seconds(zone: str) -> int:
    """How far a zone is ahead of UTC; 0 when none is written: START_TIME is in UTC."""
    digits = zone[1:].replace(":", "").ljust(6, "0")
    if not zone:
        return 0
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])
    return -seconds if zone[0] == "-" else seconds
