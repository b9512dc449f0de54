"""What the first look at a span shows for a policy: who logged when, and in which part. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from collector.db.presence import KindInSecond
from collector.records import Role
from verifier.pairing.lines import Side
from verifier.settle.cast import Cast
from verifier.settle.windows import SECOND_US, Span

BEFORE_US: Final = 30_000_000
"""A side whose lines were seen so long before a request, or"""
AFTER_US: Final = 5_000_000
"""so long after, is logged at its time. Both below the grace, so that it is known by then."""

_CLIENTS: Final = (Side.CLIENT_LIVE, Side.CLIENT_MIRROR, Side.CLIENT_OTHER)


class Kind(NamedTuple):
    """What decides which part a line plays."""

    role: int
    pod_id: int
    destination_id: int | None


class Moments:
    """The seconds in which one side wrote lines.

    Args:
        seconds: In any order, since the epoch.
    """

    def __init__(self, seconds: Iterable[int]) -> None:
        self._seconds: Final = sorted(set(seconds))

    def logged(self, time_us: int) -> bool:
        """Whether the side is logged at a time."""
        found = bisect_left(self._seconds, (time_us - BEFORE_US) // SECOND_US)
        return found < len(self._seconds) and self._seconds[found] <= self._last(time_us)

    def throughout(self, span: Span) -> bool | None:
        """`logged` where it is the same for a whole span, else None."""
        first, last = (span.start_us - BEFORE_US) // SECOND_US, self._last(span.end_us - 1)
        near = self._seconds[bisect_left(self._seconds, first) : bisect_right(self._seconds, last)]
        if not near:
            return False
        # A longer gap holds a whole look-out without any line.
        longest = (BEFORE_US + AFTER_US) // SECOND_US + 1
        edges = [first - 1, *near, last + 1]
        steps = pairwise(edges)
        return True if all(after - before <= longest for before, after in steps) else None

    @staticmethod
    def _last(time_us: int) -> int:
        return (time_us + AFTER_US) // SECOND_US


class Presence(msgspec.Struct, frozen=True):
    """What a first look at a span shows for one policy.

    Attributes:
        kinds: Every kind of line there is in it.
        senders: When senders wrote.
        primary: When the primary's pods wrote.
        tls: Whether senders reach the primary with TLS server names.
        sender_pods: Who the senders are.
        primary_pods: Who the primary's pods are.
    """

    kinds: frozenset[Kind]
    senders: Moments
    primary: Moments
    tls: bool
    sender_pods: frozenset[int] = frozenset()
    primary_pods: frozenset[int] = frozenset()


def looked_at(span: Span, reach_us: int) -> Span:
    """Where to look, to judge a span.

    Args:
        span: What is judged.
        reach_us: How far beyond it lines are read.
    """
    return Span(
        span.start_us - max(reach_us, BEFORE_US),
        span.end_us + max(reach_us, AFTER_US + SECOND_US),
    )


def sort(seen: Iterable[KindInSecond], cast: Cast) -> Presence:
    """What a look shows for the policy of a cast."""
    senders: set[int] = set()
    primary: set[int] = set()
    kinds: set[Kind] = set()
    pods: tuple[set[int], set[int]] = set(), set()
    tls = False
    for one in seen:
        kind, second = Kind(one.role, one.pod_id, one.destination_id), one.second
        kinds.add(kind)
        part = cast.part(*kind)
        if part is not None and part[0] in _CLIENTS:
            senders.add(second)
            pods[0].add(kind.pod_id)
        elif part is not None and part[0] is Side.SERVER_LIVE:
            primary.add(second)
            pods[1].add(kind.pod_id)
            tls |= kind.role == Role.SERVER and kind.destination_id is not None
    known = (Moments(senders), Moments(primary), tls)
    return Presence(frozenset(kinds), *known, *(frozenset(some) for some in pods))
