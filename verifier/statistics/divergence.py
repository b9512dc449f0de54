"""Where the answers of a mirror differ from the primary's by more than noise. Pure.

What differs by chance differs either way as often, so the pairs that differ one way are tested
against those that differ the other way (the exact sign test; for statuses McNemar's test). Two
kinds of noise are no divergence: what the pods of the primary show among themselves, and what a
reference period shows that the user accepted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from verifier.pairing.percentage import tail, wilson_interval
from verifier.statistics.compare import Compared, Moments, Signs, bounded, quantile

RANGE_ERROR: Final = 1e-3
"""How often anything is said to diverge, in a run of `check` or a range, that does not."""

LIVE_ERROR: Final = 0.01 / 8766
"""Error of a decision for who asks once an hour: one false alarm in a hundred years."""

ALL: Final = "all"
"""The endpoint that all pairs count for besides their own."""

_CLEARLY: Final = 3.29  # normal quantile of two-sided 10**-3: pods differ


class Difference(msgspec.Struct, frozen=True):
    """What is said of one measure of one endpoint.

    Attributes:
        more: Pairs whose mirror had a higher class of status, was slower, or sent more.
        less: Pairs the other way.
        pairs: Pairs that could be compared.
        chance: How often chance alone would bring as much, as corrected for the number of tests.
        noise: How far the primary's pods differ among themselves, as `shift`.
        shift: Mean difference: of classes, or of logarithms.
        diverges: The mirror's answers differ.
    """

    more: int
    less: int
    pairs: int
    chance: float
    noise: float
    shift: float
    diverges: bool


class Endpoint(msgspec.Struct, frozen=True):
    """How one endpoint's answers differ.

    Attributes:
        endpoint: Its name; `all`, or `other`.
        pairs: Pairs compared.
        differs: Pairs whose statuses differ.
        differences: By measure; those that no pair shows are left out.
        primary: Quantiles 0.5, 0.9, 0.99 of the primary's times (ms) and sizes (bytes).
        mirror: Those of the mirror.
        statuses: Status of the primary, to status of the mirror, to number of pairs; 1 to 5 are all
            other pairs of these classes. Hours that were stored before this was counted have none.
        accepted: Whether a reference period was taken into account.
    """

    endpoint: str
    pairs: int
    differs: int
    differences: dict[str, Difference]
    primary: dict[str, list[int | None]]
    mirror: dict[str, list[int | None]]
    statuses: dict[int, dict[int, int]]
    accepted: bool

    @property
    def diverges(self) -> bool:
        """Whether any measure does."""
        return any(one.diverges for one in self.differences.values())

    def changes(self) -> list[tuple[int, int, int]]:
        """Status of the primary, another of the mirror, number of pairs; most frequent first."""
        cells = [
            (ours, theirs, number)
            for ours, row in self.statuses.items()
            for theirs, number in row.items()
            if ours != theirs
        ]
        return sorted(cells, key=lambda cell: (-cell[2], cell))


def judge_endpoints(
    endpoints: Mapping[str, Compared],
    reference: Mapping[str, Compared] | None = None,
    error: float = RANGE_ERROR,
) -> list[Endpoint]:
    """Which endpoints diverge, the one of `all` pairs first, then by their number of pairs.

    Args:
        endpoints: What was compared, by endpoint.
        reference: The same of a period whose differences are accepted.
        error: How often anything at all is said to diverge that does not; shared out to all tests
            by Holm's method.
    """
    named = {ALL: _merged(endpoints.values()), **bounded(endpoints)}
    accepted = None if reference is None else {ALL: _merged(reference.values()), **reference}
    chances = {
        (name, measure): _chance(signs, _known(accepted, name, measure))
        for name, compared in named.items()
        for measure, signs in compared.signs.items()
    }
    corrected = holm(chances)
    order = sorted(named, key=lambda name: (name != ALL, -named[name].pairs, name))
    return [
        Endpoint(
            endpoint=name,
            pairs=named[name].pairs,
            differs=named[name].differs,
            differences={
                measure: _difference(named[name], measure, corrected[name, measure], error)
                for measure in named[name].signs
            },
            primary=_quantiles(named[name].primary),
            mirror=_quantiles(named[name].mirror),
            statuses=named[name].statuses,
            accepted=accepted is not None and name in accepted,
        )
        for name in order
        if named[name].pairs
    ]


def _merged(found: Iterable[Compared]) -> Compared:
    total = Compared()
    for one in found:
        total.merge(one)
    return total


def _known(reference: Mapping[str, Compared] | None, name: str, measure: str) -> Signs | None:
    compared = None if reference is None else reference.get(name)
    return None if compared is None else compared.signs.get(measure)


def _chance(signs: Signs, reference: Signs | None) -> float:
    """How often chance brings as much, two-sided."""
    if not signs.more + signs.less:
        return 1.0
    if reference is None or not reference.pairs:
        most = max(signs.more, signs.less)
        return min(1.0, 2 * tail(most, signs.more + signs.less, 0.5))
    found = 1.0
    for seen, known in ((signs.more, reference.more), (signs.less, reference.less)):
        # As much as the reference allows for at most.
        high = min(1 - 1e-9, max(1e-9, wilson_interval(known, reference.pairs)[1]))
        if seen > high * signs.pairs:
            found = min(found, 2 * tail(seen, signs.pairs, high))
    return min(1.0, found)


def holm(chances: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Chances corrected for their number: any of them below α has an error of α in all."""
    found, highest = {}, 0.0
    for number, key in enumerate(sorted(chances, key=lambda key: (chances[key], key))):
        highest = max(highest, min(1.0, chances[key] * (len(chances) - number)))
        found[key] = highest
    return found


def _difference(compared: Compared, measure: str, chance: float, error: float) -> Difference:
    signs, shift = compared.signs[measure], compared.ratios[measure].mean
    noise = _noise([pod[measure] for pod in compared.pods.values() if measure in pod])
    return Difference(
        more=signs.more,
        less=signs.less,
        pairs=signs.pairs,
        chance=chance,
        noise=round(noise, 4),
        shift=round(shift, 4),
        diverges=chance <= error and abs(shift) > noise,
    )


def _noise(pods: Sequence[Moments]) -> float:
    """The largest difference between two pods of the primary that is more than chance."""
    found, pods = 0.0, [pod for pod in pods if pod.number > 1]
    for number, one in enumerate(pods):
        for other in pods[:number]:
            apart = abs(one.mean - other.mean)
            if (
                apart > _CLEARLY * math.sqrt(one.error + other.error)
                and min(one.number, other.number) > 1
            ):
                found = max(found, apart)
    return found


def _quantiles(histograms: Mapping[str, Mapping[int, int]]) -> dict[str, list[int | None]]:
    return {
        measure: [quantile(buckets, share) for share in (0.5, 0.9, 0.99)]
        for measure, buckets in histograms.items()
        if measure != "status"
    }


def endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as the outputs in JSON have it; quantiles are 0.5, 0.9 and 0.99, ms or bytes."""
    measures = {
        measure: {
            "more": one.more,
            "less": one.less,
            "pairs": one.pairs,
            "chance": one.chance,
            "shift": one.shift,
            "noise": one.noise,
            "diverges": one.diverges,
            **({"primary": endpoint.primary[measure], "mirror": endpoint.mirror[measure]}
               if measure in endpoint.primary else {}),
        }
        for measure, one in endpoint.differences.items()
    }  # fmt: skip
    return {
        "endpoint": endpoint.endpoint,
        "pairs": endpoint.pairs,
        "status_differs": endpoint.differs,
        "diverges": endpoint.diverges,
        "accepted": endpoint.accepted,
        "measures": measures,
        "statuses": [
            {"primary": ours, "mirror": theirs, "pairs": number}
            for ours, row in sorted(endpoint.statuses.items())
            for theirs, number in sorted(row.items())
        ],
    }


_MORE: Final = {"status": "a higher status", "latency": "slower", "size": "larger"}
_LESS: Final = {"status": "a lower status", "latency": "faster", "size": "smaller"}
_UNITS: Final = {"latency": "ms", "size": "bytes"}


def described(endpoints: Iterable[Endpoint]) -> list[str]:
    """What diverges, a line for each endpoint and measure."""
    return [
        f"{endpoint.endpoint}: {_in_words(endpoint, measure, one)}"
        for endpoint in endpoints
        for measure, one in endpoint.differences.items()
        if one.diverges
    ]


def _in_words(endpoint: Endpoint, measure: str, one: Difference) -> str:
    count, word = max((one.more, _MORE[measure]), (one.less, _LESS[measure]))
    text = f"{word} in {count} of {one.pairs} pairs"
    if measure not in _UNITS:
        return text
    ours, theirs = endpoint.primary[measure][0], endpoint.mirror[measure][0]
    return f"{text}, median {theirs} instead of {ours} {_UNITS[measure]}"
