"""Which part a line plays for a policy."""

from __future__ import annotations

import pytest

from collector.observation import Destination
from collector.records import Role
from verifier.pairing.lines import Side
from verifier.policies.model import Mirror, Policy, Weighted
from verifier.sides import Sides, mirror_groups

HOST = "forecast.weather.svc.cluster.local"
V1, V2, V3 = (Destination(HOST, subset) for subset in ("v1", "v2", "v3"))
POLICY = Policy(name="p", hosts=(HOST,), live=(Weighted(V2, 100),), mirrors=(Mirror(V1),))


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (V2, (Side.CLIENT_LIVE, 0)),
        (V1, (Side.CLIENT_MIRROR, 0)),
        (V3, (Side.CLIENT_OTHER, 0)),
        (Destination(HOST), (Side.CLIENT_OTHER, 0)),
        (Destination("other.weather.svc.cluster.local", "v2"), None),
        (None, None),
    ],
)
def test_sender_line_plays_the_part_of_its_cluster(
    destination: Destination | None, expected: object
) -> None:
    """A sender's line is told by host and subset of its outbound cluster."""
    assert Sides(POLICY).side(Role.CLIENT, destination, None) == expected


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (V1, (Side.SERVER_MIRROR, 0)),
        (V2, (Side.SERVER_LIVE, 0)),
        (V3, (Side.SERVER_OTHER, 0)),
        (None, (Side.SERVER_OTHER, 0)),
    ],
)
def test_receiver_line_plays_the_part_of_its_pod(pod: Destination | None, expected: object) -> None:
    """A receiver's line is told by what its pod serves."""
    assert Sides(POLICY).side(Role.SERVER, None, pod) == expected


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (HOST, Side.SERVER_UNKNOWN),
        ("other.weather.svc.cluster.local", Side.SERVER_OTHER),
        (None, Side.SERVER_OTHER),
    ],
)
def test_pod_without_a_version_is_unknown_where_it_is_the_services(
    owner: str | None, expected: Side
) -> None:
    """A receiver of another service, or one that may be anything, is not taken for one of it."""
    assert Sides(POLICY).server(None, owner) == (expected, 0)
    assert Sides(POLICY).server(V3, owner) == (Side.SERVER_OTHER, 0)


def test_denied_line_of_a_watched_pod_is_an_arrival() -> None:
    """A line without a cluster, of a mirror's pod, arrived there: 403 of RBAC."""
    assert Sides(POLICY).side(Role.UNROUTED, None, V1) == (Side.SERVER_MIRROR, 0)


def test_unrouted_line_of_another_pod_is_a_sender_line() -> None:
    """A line without a cluster, of a pod that serves nothing watched, is a sender's."""
    assert Sides(POLICY).side(Role.UNROUTED, None, None) == (Side.CLIENT_LIVE, 0)


def test_mirrors_of_one_destination_are_one_group() -> None:
    """Two mirror policies to one destination owe two copies there."""
    policy = Policy(
        name="p",
        hosts=(HOST,),
        live=(Weighted(V2, 100),),
        mirrors=(Mirror(V1, 30.0), Mirror(V3), Mirror(V1)),
    )

    groups = mirror_groups(policy)

    assert [(group.name, group.percents) for group in groups] == [
        ("v1", (100.0, 30.0)),
        ("v3", (100.0,)),
    ]


def test_mirror_with_live_weight_is_marked() -> None:
    """A destination that is live and mirror at once is known as such."""
    policy = Policy(
        name="p",
        hosts=(HOST,),
        live=(Weighted(V2, 90), Weighted(V1, 10)),
        mirrors=(Mirror(V1),),
    )

    assert [group.live for group in mirror_groups(policy)] == [True]
