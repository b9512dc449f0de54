"""How far the clocks of pods are apart, learned from the requests that all of them saw.

The sender, the primary and the mirror start their lines of one request within a few ms of each
other. A pod that is always half a second late has a clock that is: uncorrected, its retries look
like requests of their own. What is learned is subtracted before judging and put back after, so
that people see the times that the pods wrote.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations, islice
from pathlib import Path
from statistics import median, median_low
from typing import Any, Final

from verifier.check.kinds import Stretch
from verifier.check.records import DURATION, KEY, KIND, LINE_ID, START, Kind, read_records
from verifier.pairing.lines import Side

MIN_US: Final = 20_000
"""Smaller differences are within what pairing tolerates, and may be the network's."""

_ROUNDING_US: Final = 2_000
"""Starts and durations are whole milliseconds."""
_SAMPLE: Final = 50_000
_MIN_PAIRS: Final = 10
_ROLES: Final = frozenset((Side.CLIENT_LIVE, Side.SERVER_LIVE, Side.SERVER_MIRROR))

Packed = tuple[Any, ...]
Told = tuple[int, int, int, bool]
"""A pod, when it started its line and when it ended it, and whether it was the sender."""
Gaps = dict[tuple[int, int], list[int]]
"""By two pods, how much later than the second the first started its line of a request."""


def learn(shares: Iterable[Iterable[Path]], kinds: Mapping[int, Kind]) -> dict[int, int]:
    """How far the clocks of pods are ahead of most others', µs; pods near them are left out.

    Args:
        shares: The spill files of each share of the keys.
        kinds: What the kind numbers of records stand for.
    """
    gaps: Gaps = defaultdict(list)
    read = 0
    for files in shares:
        keys: dict[int, list[Packed]] = defaultdict(list)
        for record in islice(read_records(files), 2 * _SAMPLE):
            keys[record[KEY]].append(record)
            read += 1
        for records in keys.values():
            for one, two in _pairs(_alone(records, kinds)):
                gaps[one[0], two[0]].append(_gap(one, two))
        if read >= _SAMPLE:
            break
    return _ahead({pair: round(median(found)) for pair, found in _most(gaps) if _steady(found)})


def shift(stretch: Stretch | None, ahead_us: int) -> None:
    """Puts a pod's stretch on the clock of most others."""
    if stretch is not None:
        stretch.first_us -= ahead_us
        stretch.last_us -= ahead_us


def _pairs(told: list[Told]) -> list[tuple[Told, Told]]:
    """What is compared: the others with the sender, who knows best how long they had to wait."""
    senders = [one for one in told if one[3]]
    return [
        (one, two) for one, two in combinations(told, 2) if not senders or senders[0] in (one, two)
    ]


def _gap(one: Told, two: Told) -> int:
    """How much later one started, µs; 0 where a busy sender's queue explains it.

    What the primary did within the sender's own time for the request shows no clock.
    """
    for sender, other in ((one, two), (two, one)):
        begins, ends = sender[1] - _ROUNDING_US, sender[2] + _ROUNDING_US
        if sender[3] and begins <= other[1] and other[2] <= ends:
            return 0
    return one[1] - two[1]


def _alone(records: list[Packed], kinds: Mapping[int, Kind]) -> list[Told]:
    """What each side did of a request; without sides that have several lines, as of retries."""
    lines = {(kinds[record[KIND]].pod, record[LINE_ID]): record for record in records}
    seen: dict[int, list[Told]] = defaultdict(list)
    for (pod, _), record in lines.items():
        side, start = kinds[record[KIND]].side, record[START]
        end = start + record[DURATION] * 1000
        seen[side].append((pod, start, end, side == Side.CLIENT_LIVE))
    alone = [starts[0] for side, starts in seen.items() if side in _ROLES and len(starts) == 1]
    return sorted(alone)


def _most(gaps: Gaps) -> list[tuple[tuple[int, int], list[int]]]:
    """The pairs with most requests first, as they tell best."""
    return sorted(gaps.items(), key=lambda entry: (-len(entry[1]), entry[0]))


def _steady(found: list[int]) -> bool:
    """Whether differences are many, and a clock's: nearly the same each time."""
    if len(found) < _MIN_PAIRS:
        return False
    middle = median(found)
    return median(abs(one - middle) for one in found) < MIN_US


def _ahead(gaps: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """Each pod's clock against the middle one of all pods that requests connect with it."""
    ahead: dict[int, int] = {}
    for pair in gaps:
        if pair[0] not in ahead:
            group = {pair[0]: 0}
            while _grow(group, gaps):
                pass
            middle = median_low(group.values())
            ahead.update((pod, us - middle) for pod, us in group.items())
    return {pod: us for pod, us in ahead.items() if abs(us) >= MIN_US}


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
