"""What a hole can explain: no more copies than the silent pods usually receive. Pure.

One dead node of a mirror with ten would else excuse every copy that is not sent. Beyond the share
that its pods had in earlier hours, with the spread of chance, a copy that lacks is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from verifier.pairing.lines import Reason, Verdict
from verifier.pairing.percentage import CHECK_ERROR, tail
from verifier.pairing.tally import Tally, finding_order

_FEWEST: Final = 200
"""Arrivals that an hour must have had for its shares to count."""
DOUBTS: Final = (Reason.MIRROR_LOG_INCOMPLETE, Reason.MIRROR_LOG_LOST)


def usual_share(
    hours: Mapping[int, Mapping[int, int]], silent: Collection[int], receiving: Collection[int]
) -> float | None:
    """The largest share of arrivals that silent pods had in any earlier hour.

    Args:
        hours: By hour, how much each pod of the mirror received.
        silent: The pods of which nothing is known.
        receiving: The pods that are seen to receive now.

    Returns:
        None: no hour tells, as the mirror had more other pods than now, of whose part the
        silent ones may have taken over, or a silent pod is new.
    """
    shares = []
    for arrivals in hours.values():
        others = [pod for pod in arrivals if pod not in silent]
        known = all(arrivals.get(pod) for pod in silent)
        total = sum(arrivals.values())
        if known and total >= _FEWEST and set(others) <= set(receiving):
            shares.append(sum(arrivals[pod] for pod in silent) / total)
    return max(shares, default=None)


def most_received(requests: int, share: float) -> int:
    """The most copies of so many that pods with a share receive, but for an error of 10⁻⁴."""
    if share >= 1:
        return requests
    certain, bound = int(requests * share), requests + 1
    while bound - certain > 1:
        middle = (certain + bound) // 2
        if tail(middle, requests, share) >= CHECK_ERROR:
            certain = middle
        else:
            bound = middle
    return certain


def settle_beyond_share(tally: Tally, mirror: int, share: float) -> None:
    """Rule: copies that lack beyond what a hole explains are missing.

    Args:
        tally: Of one window; a policy whose mirror gets every request.
        mirror: The mirror with the hole.
        share: Of arrivals, of the pods in it.
    """
    doubted = sorted(
        (one for one in tally.findings if one.mirror == mirror and one.reason in DOUBTS),
        key=finding_order,
    )
    owed = tally.counts.get(Verdict.MATCHED, 0) + tally.counts.get(Verdict.MISSING, 0)
    explained = most_received(owed + len(doubted), share)
    # Which of them were sent and which not cannot be told; the later ones are named.
    for one in doubted[explained:]:
        tally.move(Verdict.UNVERIFIABLE, Verdict.MISSING, one.count)
        one.verdict, one.reason = Verdict.MISSING, Reason.BEYOND_SHARE
