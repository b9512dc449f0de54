"""Pairs of a request and its copy, added up by endpoint: small, and mergeable. Pure.

Of each pair three things are compared: the class of the status, how long it took, how large the
answer was. What comes of it says `divergence`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from verifier.statistics.endpoints import MAX_ENDPOINTS, OTHER

SLOWER: Final = (1.25, 5.0)
"""An answer took longer (or less long) when it is by this factor and so many milliseconds."""
LARGER: Final = (1.1, 16.0)
"""An answer is larger (or smaller) when it is by this factor and so many bytes."""

MAX_CELLS: Final = 64
"""Pairs of status codes of an endpoint that are counted by themselves."""

_MAX_PODS: Final = 16
_MAX_CLASS: Final = 5


class Answer(NamedTuple):
    """What a proxy logged of an answer; `ms` is None where its clock measures something else."""

    code: int
    ms: float | None
    size: int


class Pair(NamedTuple):
    """A matched request and its copy, neither of code 0; `pod` is the primary's, if known."""

    primary: Answer
    mirror: Answer
    pod: str | None


class Signs(msgspec.Struct, array_like=True):
    """Pairs whose mirror had more, pairs whose mirror had less, and pairs in all."""

    more: int = 0
    less: int = 0
    pairs: int = 0

    def add(self, more: int, less: int, pairs: int) -> None:
        """Adds pairs."""
        self.more += more
        self.less += less
        self.pairs += pairs


class Moments(msgspec.Struct, array_like=True):
    """Number, sum and sum of squares."""

    number: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Adds one value."""
        self.merge(Moments(1, value, value * value))

    def merge(self, other: Moments) -> None:
        """Adds all values of another."""
        self.number += other.number
        self.total = round(self.total + other.total, 6)
        self.squares = round(self.squares + other.squares, 6)

    @property
    def mean(self) -> float:
        """Of at least one value."""
        return self.total / self.number

    @property
    def error(self) -> float:
        """Variance of the mean."""
        spread = max(0.0, self.squares / self.number - self.mean**2)
        return spread / max(1, self.number - 1)


MEASURES: Final = ("status", "latency", "size")


class Compared(msgspec.Struct):
    """Pairs of one endpoint, added up; two of them merge into one.

    Attributes:
        pairs: How many.
        differs: Pairs whose statuses differ.
        signs: By measure.
        ratios: Logarithms of mirror to primary (for statuses: difference of classes), by measure.
        pods: The same of the answers of each pod of the primary, by measure.
        primary: Histograms of the primary's answers, by measure: value, with two digits, to number.
        mirror: Those of the mirror's.
        statuses: Status of the primary, to status of the mirror, to number. Pairs of codes beyond
            `MAX_CELLS` count for their classes, 1 to 5. Rows that were stored before this was
            counted have none.
    """

    pairs: int = 0
    differs: int = 0
    signs: dict[str, Signs] = {}
    ratios: dict[str, Moments] = {}
    pods: dict[str, dict[str, Moments]] = {}
    primary: dict[str, dict[int, int]] = {}
    mirror: dict[str, dict[int, int]] = {}
    statuses: dict[int, dict[int, int]] = {}

    def add(self, pair: Pair) -> None:
        """Adds one pair."""
        self.pairs += 1
        self.differs += pair.primary.code != pair.mirror.code
        self._count(pair.primary.code, pair.mirror.code, 1)
        for measure in MEASURES:
            ours, theirs = _value(pair.primary, measure), _value(pair.mirror, measure)
            if ours is None or theirs is None:
                continue
            sign = _sign(measure, ours, theirs)
            self.signs.setdefault(measure, Signs()).add(sign > 0, sign < 0, 1)
            level = _level(measure, ours)
            self.ratios.setdefault(measure, Moments()).add(_level(measure, theirs) - level)
            for side, value in ((self.primary, ours), (self.mirror, theirs)):
                buckets = side.setdefault(measure, {})
                bucket = _bucket(measure, value)
                buckets[bucket] = buckets.get(bucket, 0) + 1
            if pair.pod is not None and (pair.pod in self.pods or len(self.pods) < _MAX_PODS):
                self.pods.setdefault(pair.pod, {}).setdefault(measure, Moments()).add(level)

    def merge(self, other: Compared) -> None:
        """Adds all pairs of another."""
        self.pairs += other.pairs
        self.differs += other.differs
        for measure, signs in other.signs.items():
            self.signs.setdefault(measure, Signs()).add(signs.more, signs.less, signs.pairs)
        for measure, moments in other.ratios.items():
            self.ratios.setdefault(measure, Moments()).merge(moments)
        for pod, levels in other.pods.items():
            if pod in self.pods or len(self.pods) < _MAX_PODS:
                own = self.pods.setdefault(pod, {})
                for measure, moments in levels.items():
                    own.setdefault(measure, Moments()).merge(moments)
        for mine, others in ((self.primary, other.primary), (self.mirror, other.mirror)):
            for measure, buckets in others.items():
                counts = mine.setdefault(measure, {})
                for bucket, number in buckets.items():
                    counts[bucket] = counts.get(bucket, 0) + number
        self._merge_statuses(other)

    def _merge_statuses(self, other: Compared) -> None:
        for ours, row in other.statuses.items():
            for theirs, number in row.items():
                self._count(ours, theirs, number)

    def _count(self, primary: int, mirror: int, number: int) -> None:
        """Adds pairs of two codes, or of two classes once there are too many of codes."""
        known = mirror in self.statuses.get(primary, ())
        if not known and sum(map(len, self.statuses.values())) >= MAX_CELLS:
            primary, mirror = status_class(primary), status_class(mirror)
        row = self.statuses.setdefault(primary, {})
        row[mirror] = row.get(mirror, 0) + number


def status_class(code: int) -> int:
    """1 to 5, of a code or of what is a class already; 0: neither."""
    found = code // 100 if code > _MAX_CLASS else code
    return found if found <= _MAX_CLASS else 0


def _value(answer: Answer, measure: str) -> float | None:
    if measure == "status":
        return float(answer.code // 100)
    return answer.ms if measure == "latency" else float(answer.size)


def _level(measure: str, value: float) -> float:
    return value if measure == "status" else math.log(value + 1)


def _sign(measure: str, primary: float, mirror: float) -> int:
    """1 where the mirror has more, -1 where it has less, 0 where they are about equal."""
    factor, least = {"latency": SLOWER, "size": LARGER}.get(measure, (1.0, 0.5))
    if mirror > factor * primary and mirror - primary >= least:
        return 1
    return -1 if primary > factor * mirror and primary - mirror >= least else 0


def _bucket(measure: str, value: float) -> int:
    """Two digits and zeros."""
    return int(value) if measure == "status" else int(float(f"{value:.2g}"))


def quantile(buckets: Mapping[int, int], share: float) -> int | None:
    """About the value below which a share of a histogram of times or sizes lies; None: it is empty.

    Values have two digits and zeros.
    """
    wanted, seen = share * sum(buckets.values()), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return bucket
    return None


def bounded(endpoints: Mapping[str, Compared], limit: int = MAX_ENDPOINTS) -> dict[str, Compared]:
    """The endpoints with most pairs; all others together are `other`."""
    order = sorted(endpoints, key=lambda name: (name == OTHER, -endpoints[name].pairs, name))
    found: dict[str, Compared] = {}
    for number, name in enumerate(order):
        kept = name if number < limit - 1 and name != OTHER else OTHER
        found.setdefault(kept, Compared()).merge(endpoints[name])
    return found
