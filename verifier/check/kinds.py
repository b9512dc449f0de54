"""Lines of one kind differ only in id, path, time and sizes; the rest is read once for each kind.

A proxy's lines repeat their connection, status and authority thousands of times. What they mean
(host, side, traits) is learned from the first line of a kind, which went the general way, and
reused for the others. A line that is special in any way always goes the general way.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, NamedTuple

import msgspec

from collector.formats.istio_text import read_sizes
from collector.formats.parse import MAX_DURATION_MS, MAX_LINE_CHARACTERS
from collector.observation import Observation
from collector.traits import Trait
from verifier.check.records import key_of

_LIMIT: Final = 50_000
_QUOTE_PARTS: Final = 15  # of a line of the text format without quotes inside its fields
_MILLISECONDS: Final = {f".{ms:03d}Z] ": ms * 1000 for ms in range(1000)}
_NOTHING: Final = frozenset(("", "-"))
_SPECIAL: Final = frozenset(("", "-", "CONNECT"))
_UNSURE: Final = Trait.NO_ID | Trait.AMBIGUOUS | Trait.UNMIRRORED


class Stretch(msgspec.Struct):
    """From the first start to the last end of a pod's lines, µs since the epoch."""

    first_us: int
    last_us: int

    def widen(self, first_us: int, last_us: int) -> None:
        """Takes in another stretch."""
        self.first_us = min(self.first_us, first_us)
        self.last_us = max(self.last_us, last_us)


class Known(NamedTuple):
    """What is known of a kind: its host, its number (None: no policy concerns it), its pod."""

    host: str
    number: int | None
    stretch: Stretch


Plain = tuple[Known, int, int, int]
"""A line read by its kind: the kind, its key, its start in µs, its duration in ms."""


class Kinds:
    """The kinds that were met so far."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, Known] = {}
        self._second = ""
        self._second_us = 0

    def read(self, text: str, who: Hashable) -> Plain | None:
        """Reads a line by its kind; None when it has to go the general way.

        Args:
            text: The line.
            who: What stands for its pod.
        """
        parts = text.split('"')
        if len(parts) != _QUOTE_PARTS:
            return None
        (head, request, status, _, sizes, forwarded, gap, _, gap2, request_id, gap3, authority,
         gap4, _, tail) = parts  # fmt: skip
        known = self._kinds.get((who, tail, authority, status, forwarded))
        if known is None or head[1:20] != self._second or not gap == gap2 == gap3 == gap4 == " ":
            return None
        milliseconds = _MILLISECONDS.get(head[20:])
        words = request.split(" ")
        if milliseconds is None or len(words) != 3 or request_id in _NOTHING or text[0] != "[":
            return None
        method, path, protocol = words
        if method in _SPECIAL or path in _NOTHING or not protocol:
            return None
        try:
            duration_ms = read_sizes(sizes)[2]
        except ValueError:
            return None
        if duration_ms > MAX_DURATION_MS or len(text) > MAX_LINE_CHARACTERS:
            return None
        key = key_of(request_id, method, path, known.host)
        return known, key, self._second_us + milliseconds, duration_ms

    def learn(self, text: str, who: Hashable, seen: Observation, known: Known) -> None:
        """Remembers what a line that went the general way shows of its kind.

        Args:
            text: The line.
            who: What stands for its pod.
            seen: What the general way made of it.
            known: What all lines of its kind have in common; independent of method and path.
        """
        parts = text.split('"')
        if len(parts) != _QUOTE_PARTS or parts[0][:1] != "[" or seen.traits & _UNSURE:
            return
        self._second = parts[0][1:20]
        self._second_us = seen.log.start_us // 1_000_000 * 1_000_000
        if len(self._kinds) >= _LIMIT:
            self._kinds.clear()
        self._kinds[who, parts[14], parts[11], parts[2], parts[5]] = known
