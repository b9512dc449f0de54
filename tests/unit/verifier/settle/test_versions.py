"""Which policy versions are in force when."""

from __future__ import annotations

import msgspec
import pytest

from tests.settling import make_policy
from verifier.pairing.lines import Reason
from verifier.policies.model import Condition, StringMatch
from verifier.settle.versions import Version, Versions, in_force

GRACE_US = 5_000_000
"""The default of `change_grace`."""


def version(number: int, from_us: int, to_us: int, position: int, **fields: object) -> Version:
    """A version of one route of a resource."""
    policy = make_policy(
        ("v1", 100.0), name=f"w/route/{position}", resource="VirtualService w/route",
        position=position, **fields,
    )  # fmt: skip
    return Version(number, policy, from_us, from_us, None, from_us, to_us, b"")


def test_a_changed_route_stays_in_its_place() -> None:
    """The first route that matches wins, also once it is newer than those behind it."""
    api = (Condition(path=StringMatch("prefix", "/api")),)
    rest = version(2, 0, 1 << 62, 1)
    found = Versions(
        [version(1, 0, 100, 0, match=api), rest, version(3, 100, 1 << 62, 0, match=api)]
    )

    for time_us in (50, 150):
        route = found.era(time_us).routes.route("GET", "/api/x", rest.policy.hosts[0])
        assert getattr(route, "name", None) == "w/route/0"


@pytest.mark.parametrize(
    ("valid_from_us", "recorded_us", "acknowledged_us", "expected"),
    [
        (None, 10, 20, None),
        (10, 10, 20, 20),
        (30, 10, 20, 30),
        (5, 10, 20, 5),
    ],
)
def test_a_change_counts_once_it_is_watched_and_a_correction_from_when_it_holds(
    valid_from_us: int | None, recorded_us: int, acknowledged_us: int, expected: int | None
) -> None:
    """First versions hold since ever; announced ones from their time on."""
    assert in_force(valid_from_us, recorded_us, acknowledged_us) == expected


def test_requests_between_the_change_and_its_acknowledgement_are_exempt() -> None:
    """And for the grace after; then everything is judged."""
    one = msgspec.structs.replace(version(1, 100, 1 << 62, 0), in_force_us=200)
    assert one.exemption(99) is Reason.NO_MIRROR_IN_FORCE
    assert one.exemption(100) is Reason.POLICY_CHANGED
    assert one.exemption(199 + GRACE_US) is Reason.POLICY_CHANGED
    assert one.exemption(200 + GRACE_US) is None
    assert one.is_plain_after(200 + GRACE_US)
    assert not one.is_plain_after(199 + GRACE_US)
