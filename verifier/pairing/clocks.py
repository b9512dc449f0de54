"""How far the clocks of pods are apart, told by the requests that all of them saw. Pure.

The sender, the primary and the mirror start their lines of one request within a few ms of each
other. A pod that is always half a second late has a clock that is: uncorrected, its retries look
like requests of their own. What is learned is subtracted before judging and put back after, so
that people see the times that the pods wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from statistics import median, median_low
from typing import Final, NamedTuple

from verifier.pairing.lines import Side

MIN_US: Final = 20_000
"""Smaller differences are within what pairing tolerates, and may be the network's."""
MIN_PAIRS: Final = 10
"""So many requests show a pod's clock, or more."""
ROLES: Final = frozenset((Side.CLIENT_LIVE, Side.SERVER_LIVE, Side.SERVER_MIRROR))
"""The sides of a request whose lines are compared, where each has one."""

_ROUNDING_US: Final = 2_000
"""Starts and durations are whole milliseconds."""


class Told(NamedTuple):
    """A pod, when it started its line and when it ended it, and whether it was the sender."""

    pod: int
    start_us: int
    end_us: int
    is_sender: bool


class Gaps:
    """By two pods, how much later than the second the first started its line of a request."""

    def __init__(self) -> None:
        self._gaps: Final[dict[tuple[int, int], list[int]]] = {}

    def add(self, told: list[Told]) -> None:
        """Adds a request, of which each side has one line.

        The others are compared with the sender, who knows best how long they had to wait.
        """
        senders = [one for one in told if one.is_sender]
        for one, two in combinations(sorted(told), 2):
            if not senders or senders[0] in (one, two):
                self._gaps.setdefault((one.pod, two.pod), []).append(_gap(one, two))

    def pairs(self) -> dict[int, int]:
        """How many requests compare each pod with others."""
        found: dict[int, int] = {}
        for pods, gaps in self._gaps.items():
            for pod in pods:
                found[pod] = found.get(pod, 0) + len(gaps)
        return found

    def ahead(self) -> dict[int, int]:
        """How far the clock of each pod that steady differences connect is ahead, µs.

        Against the middle one of all pods that requests connect with it.
        """
        steady = {pods: round(median(gaps)) for pods, gaps in self._most() if _steady(gaps)}
        ahead: dict[int, int] = {}
        for pods in steady:
            if pods[0] not in ahead:
                group = {pods[0]: 0}
                while _grow(group, steady):
                    pass
                middle = median_low(group.values())
                ahead.update((pod, us - middle) for pod, us in group.items())
        return ahead

    def _most(self) -> list[tuple[tuple[int, int], list[int]]]:
        """The pairs with most requests first, as they tell best."""
        return sorted(self._gaps.items(), key=lambda entry: (-len(entry[1]), entry[0]))


def _gap(one: Told, two: Told) -> int:
    """How much later one started, µs; 0 where a busy sender's queue explains it.

    What the primary did within the sender's own time for the request shows no clock.
    """
    for sender, other in ((one, two), (two, one)):
        begins, ends = sender.start_us - _ROUNDING_US, sender.end_us + _ROUNDING_US
        if sender.is_sender and begins <= other.start_us and other.end_us <= ends:
            return 0
    return one.start_us - two.start_us


def _steady(found: list[int]) -> bool:
    """Whether differences are many, and a clock's: nearly the same each time."""
    if len(found) < MIN_PAIRS:
        return False
    middle = median(found)
    return median(abs(one - middle) for one in found) < MIN_US


def _grow(group: dict[int, int], gaps: Mapping[tuple[int, int], int]) -> bool:
    """Adds the pod to a group of pods that the best pair connects with it."""
    for (pod, other), gap in gaps.items():
        if pod in group and other not in group:
            group[other] = group[pod] - gap
            return True
        if other in group and pod not in group:
            group[pod] = group[other] + gap
            return True
    return False
