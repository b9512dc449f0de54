"""Envoy's START_TIME to microseconds since the epoch, UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Final

_CACHE_LIMIT: Final = 10_000
_seconds: dict[str, int] = {}
_thousandths: Final = {f".{number:03d}Z": number * 1000 for number in range(1000)}
"""What follows the seconds in Envoy's default form, in µs."""
_ends: Final = {f"{text}] ": part for text, part in _thousandths.items()}
known_second: Final = _seconds.get
known_part: Final = _ends.get
"""What `parse_head` adds up, for the one caller that cannot afford to call it for every line."""


def _whole_second_us(text: str) -> int:
    """Epoch µs of `2026-11-22T15:11:42`, read as UTC. Raises ValueError."""
    found = _seconds.get(text)
    if found is None:
        found = int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000_000
        if len(_seconds) >= _CACHE_LIMIT:
            _seconds.clear()  # lines come nearly in order: the next ones fill it again
        _seconds[text] = found
    return found


def parse_head(head: str) -> int:
    """As `parse_time`, of the time within what a text line begins with: `[TIME] `."""
    whole, part = _seconds.get(head[1:20]), _ends.get(head[20:])
    if whole is not None and part is not None and head[0] == "[":  # nearly always
        return whole + part
    if head[:1] != "[" or head[-2:] != "] ":
        raise ValueError(head)
    return parse_time(head[1:-2])


def parse_time(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time in UTC, such as Envoy's default START_TIME.

    Only `Z` and `+00:00` are accepted: a local time without its zone would be hours off.

    Raises:
        ValueError: when the text is no such time.
    """
    whole, part = _seconds.get(text[:19]), _thousandths.get(text[19:])
    if whole is not None and part is not None:
        return whole + part
    if text.endswith("Z"):
        body = text[:-1]
    elif text.endswith("+00:00"):
        body = text[:-6]
    else:
        msg = "not a UTC time"
        raise ValueError(msg)
    if len(body) < 19:
        msg = "not a whole time"
        raise ValueError(msg)
    if len(body) == 19:
        return _whole_second_us(body)
    fraction = body[20:26]
    if body[19] != "." or not fraction.isascii() or not body[20:].isdigit():
        msg = "not a UTC time"
        raise ValueError(msg)
    return _whole_second_us(body[:19]) + int(fraction.ljust(6, "0"))
