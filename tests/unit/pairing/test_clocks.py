"""What requests tell of the clocks of the pods that saw them."""

from __future__ import annotations

from verifier.pairing.clocks import Gaps, Told

MS = 1_000
SENDER, PRIMARY, MIRROR = 1, 2, 3


def _gaps(requests: int, **ahead_ms: int) -> Gaps:
    gaps = Gaps()
    for number in range(requests):
        start = number * 1_000_000
        told = [
            Told(pod, start + MS + ahead_ms.get(name, 0) * MS, start + 5 * MS, name == "sender")
            for name, pod in (("sender", SENDER), ("primary", PRIMARY), ("mirror", MIRROR))
        ]
        gaps.add(told)
    return gaps


def test_a_pod_that_is_always_late_has_a_clock_that_is() -> None:
    """The two others agree."""
    assert _gaps(20, mirror=-700).ahead() == {SENDER: 0, PRIMARY: 0, MIRROR: -700_000}


def test_few_requests_tell_no_clock() -> None:
    """Below ten nothing is said."""
    assert _gaps(9, mirror=700).ahead() == {}


def test_pairs_are_counted_by_pod() -> None:
    """The primary and the mirror are each compared with the sender only."""
    assert _gaps(20).pairs() == {SENDER: 40, PRIMARY: 20, MIRROR: 20}
