"""How often the watches over shares are wrong, and how soon they see: `python -m tests.simulate`.

Prints the table that MEASURED.md has. Every figure has a seed of its own, so that the same figures
come out on every machine, together or one by one.

A false alarm is too rare to wait for: its probability is measured where it is common, under the
alternative that a track looks for, and weighted back by the likelihood ratio (importance
sampling, after Siegmund). The rates of all tracks are added, which is at least the watch's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random
from statistics import median
from typing import Final, NamedTuple

from verifier.statistics.sequential import (
    FALSE_ALARMS_A_YEAR,
    YEAR_US,
    Copied,
    Lost,
    Watch,
    watch_loss,
    watch_share,
)

WINDOW_S: Final = 10
WINDOWS_A_YEAR: Final = YEAR_US / (WINDOW_S * 1_000_000)
RATES: Final = (10, 100, 1000)
LOSSES: Final = (0.01, 0.05, 0.5)
_HEALTHY: Final = 100  # windows before a loss begins
_RUNS: Final = 11
_CYCLES: Final = 1_000
_UNLIMITED: Final = 1e-300  # alarms a year: evidence is not cut off


class Case(NamedTuple):
    """A policy: its name in the table, declared share, tolerance, share of log lines lost."""

    name: str
    declared: float
    tolerance: float = 0.0
    log_loss: float = 0.0


CASES: Final = (
    Case("100 %", 1.0),
    Case("100 %, 0.1 % of lines lost in shipping", 1.0, 0.0, 0.001),
    Case("100 %, tolerance 0.1 %", 1.0, 0.001),
    Case("50 %", 0.5),
    Case("10 %", 0.1),
)


def draws(number: int, share: float, random: Random) -> Iterator[int]:
    """Binomial numbers without end."""
    if not 0 < share < 1:
        while True:
            yield number if share >= 1 else 0
    logs = [
        math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)
        + k * math.log(share) + (number - k) * math.log1p(-share)
        for k in range(number + 1)
    ]  # fmt: skip
    sums = list(accumulate(math.exp(log) for log in logs))
    while True:
        yield from random.choices(range(number + 1), cum_weights=sums, k=256)


class Traffic:
    """Windows of a policy.

    Args:
        case: The policy.
        rate: Requests a second.
        loss: Share of the owed copies that do not arrive.
        random: Where chance comes from.
    """

    def __init__(self, case: Case, rate: int, loss: float, random: Random) -> None:
        self._case = case
        self._owed = rate * WINDOW_S
        lacks = 1 - (1 - loss) * (1 - case.log_loss)
        share = case.declared * (1 - loss) if case.declared < 1 else lacks
        self._counts = draws(self._owed, share, random)
        self._lost = draws(self._owed, case.log_loss, random)

    def add(self, watch: Watch, number: int) -> Watch:
        """Adds the window of this number to a watch."""
        start, end = (1_000_000 * WINDOW_S * at for at in (number, number + 1))
        count = next(self._counts)
        if self._case.declared < 1:
            return watch_share(watch, Copied(start, end, count, self._owed), self._case.declared)
        control = self._owed if self._case.log_loss else 0
        window = Lost(start, end, count, self._owed, next(self._lost), control)
        return watch_loss(watch, window, self._case.tolerance)


def seconds_to_detect(case: Case, rate: int, loss: float, seed: int) -> int:
    """From the beginning of a loss, after a healthy time, to the end of the window that decides."""
    random = Random(f"{case.name} {rate} {loss} {seed}")
    watch, number = Watch(), 0
    healthy = Traffic(case, rate, 0.0, random)
    while number < _HEALTHY:
        watch = healthy.add(watch, number)
        number += 1
    lossy = Traffic(case, rate, loss, random)
    watch = watch if watch.decided_us is None else Watch()
    while watch.decided_us is None:
        watch = lossy.add(watch, number)
        number += 1
    return (number - _HEALTHY) * WINDOW_S


class Tilt(NamedTuple):
    """One track's random walk: the gain of a count, and the shares of right and tilted draws."""

    gains: tuple[float, float]
    constant: float
    right: tuple[float, float]


def _tilts(case: Case, owed: int) -> list[Tilt]:
    """The walks of all tracks of a watch, read off what it makes of one request."""

    def evidence(count: int, lost: int) -> list[float]:
        if case.declared < 1:
            watch = watch_share(Watch(), Copied(0, 10, count, 1), case.declared, _UNLIMITED)
        else:
            window = Lost(0, 10, count, 1, lost, 1 if case.log_loss else 0)
            watch = watch_loss(Watch(), window, case.tolerance, _UNLIMITED)
        return [track.evidence - math.log(10 / YEAR_US) for track in watch.tracks]

    none, one = evidence(0, 0), evidence(1, 0)
    lost = evidence(0, 1) if case.log_loss else none
    right = (case.declared if case.declared < 1 else case.tolerance + case.log_loss, case.log_loss)
    return [
        Tilt((first - base, second - base), base * owed, right)
        for base, first, second in zip(none, one, lost, strict=True)
    ]


def _walk(tilt: Tilt, owed: int, random: Random, *, tilted: bool) -> Callable[[], float]:
    """Steps of a track; with `tilted`, under the measure with exp(gain) for density."""
    shares = []
    for gain, right in zip(tilt.gains, tilt.right, strict=True):
        raised = right * math.exp(gain)
        shares.append(raised / (raised + 1 - right) if tilted else right)
    counts, lost = (draws(owed, share, random) for share in shares)
    return lambda: tilt.gains[0] * next(counts) + tilt.gains[1] * next(lost) + tilt.constant


def _log_mean(tilt: Tilt, owed: int) -> float:
    """Logarithm of the mean of exp(step) as long as nothing is wrong: 0, or below."""
    pairs = zip(tilt.gains, tilt.right, strict=True)
    return tilt.constant + sum(owed * math.log1p(p * math.expm1(gain)) for gain, p in pairs)


def _crossing(tilt: Tilt, owed: int, limit: float, random: Random) -> float:
    """Probability that a track reaches a limit before it begins anew."""
    step = _walk(tilt, owed, random, tilted=True)
    norm, total = _log_mean(tilt, owed), 0.0
    for _ in range(_CYCLES):
        height = steps = 0.0
        while 0 < height < limit or not steps:
            height += step()
            steps += 1
        if height >= limit:
            total += math.exp(steps * norm - height)
    return total / _CYCLES


def _length(tilt: Tilt, owed: int, random: Random) -> float:
    """After how many windows a track begins anew, on average, as long as nothing is wrong."""
    step = _walk(tilt, owed, random, tilted=False)
    steps = 0
    for _ in range(_CYCLES):
        height = 0.0
        while True:
            height += step()
            steps += 1
            if height <= 0:
                break
    return steps / _CYCLES


def false_alarms_a_year(case: Case, rate: int) -> float:
    """How often a year the watch over a policy decides although nothing is wrong."""
    if case == CASES[0]:
        return 0.0  # no copy lacks, and nothing but one that lacks decides
    owed, random = rate * WINDOW_S, Random(f"{case.name} {rate}")
    tilts = _tilts(case, owed)
    limit = math.log(len(tilts) / FALSE_ALARMS_A_YEAR * WINDOWS_A_YEAR)
    found = 0.0
    for tilt in tilts:
        found += _crossing(tilt, owed, limit, random) / _length(tilt, owed, random)
    return found * WINDOWS_A_YEAR


def duration(seconds: float) -> str:
    """A time in words."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def row(case: Case, rate: int) -> str:
    """One line of the table."""
    alarms = false_alarms_a_year(case, rate)
    times = [
        duration(median(seconds_to_detect(case, rate, loss, seed) for seed in range(_RUNS)))
        for loss in LOSSES
    ]
    return f"| {case.name} | {rate} | {alarms:.1g} | {' | '.join(times)} |"


HEAD: Final = """\
| declared | requests a second | false alarms a year | 1 % lost | 5 % lost | 50 % lost |
|---|---|---|---|---|---|"""


def main() -> None:
    """Prints the table."""
    print(HEAD)  # noqa: T201
    for case in CASES:
        for rate in RATES:
            print(row(case, rate), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
