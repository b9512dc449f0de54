"""Observations: role, destination, host and key of a line."""

from __future__ import annotations

import pytest

from collector.hosts import HostTable
from collector.observation import Destination, observe, read_cluster, read_server_name
from collector.records import Identity, Role
from collector.traits import Trait
from tests.factories import access_log

FORECAST = "forecast.weather.svc.cluster.local"
HOSTS = HostTable([FORECAST])


@pytest.mark.parametrize(
    ("cluster", "role", "destination"),
    [
        (f"outbound|3002|v2|{FORECAST}", Role.CLIENT, Destination(FORECAST, "v2")),
        (f"outbound|3002||{FORECAST}", Role.CLIENT, Destination(FORECAST)),
        (f"outbound|3002|v2|{FORECAST};", Role.CLIENT, Destination(FORECAST, "v2")),
        (f"outbound|3002|v2|{FORECAST.upper()}", Role.CLIENT, Destination(FORECAST, "v2")),
        ("inbound|3002||", Role.SERVER, None),
        ("inbound|3002||;", Role.SERVER, None),
        (f"inbound|3002|http|{FORECAST}", Role.SERVER, None),
        ("InboundPassthroughCluster", Role.SERVER, None),
        ("InboundPassthroughClusterIpv4", Role.SERVER, None),
        ("PassthroughCluster", Role.CLIENT, None),
        ("BlackHoleCluster", Role.CLIENT, None),
        ("outbound|3002|v2", Role.CLIENT, None),
        ("some_cluster", Role.CLIENT, None),
        ("", Role.UNROUTED, None),
    ],
)
def test_clusters_of_every_release(cluster: str, role: Role, destination: object) -> None:
    """Old and new inbound names, the stray semicolon, Istio's special clusters."""
    assert read_cluster(cluster) == (role, destination)


@pytest.mark.parametrize(
    ("name", "destination"),
    [
        (f"outbound_.3002_.v1_.{FORECAST}", Destination(FORECAST, "v1")),
        (f"outbound_.3002_._.{FORECAST}", Destination(FORECAST)),
        (f"outbound_.3002_.v1-shadow_.{FORECAST}", Destination(FORECAST, "v1-shadow")),
        ("www.example.com", None),
        ("outbound_.3002", None),
        ("", None),
    ],
)
def test_tls_server_names(name: str, destination: object) -> None:
    """Istio's default for mutual TLS names the subset."""
    assert read_server_name(name) == destination


def test_a_request_and_its_copy_share_a_key() -> None:
    """Whatever the name by which the host was called, the suffix and the trace reason."""
    sent = access_log(cluster=f"outbound|3002|v2|{FORECAST}", authority="forecast.weather:3002")
    copy = access_log(
        authority="forecast.weather-shadow:3002",
        request_id="46ce024f-97b3-9a45-8f73-2d4ef365608d",
        forwarded_for="192.0.2.2",
    )

    first, second = (observe(log, "line", Identity(), HOSTS, b"s") for log in (sent, copy))

    assert first is not None
    assert second is not None
    assert first.key == second.key
    assert (first.role, second.role) == (Role.CLIENT, Role.SERVER)
    assert second.traits & Trait.SHADOW_HOST
    assert not first.traits & Trait.SHADOW_HOST


def test_other_hosts_are_not_observed() -> None:
    """They are counted and dropped."""
    assert observe(access_log(authority="other"), "", Identity(), HOSTS, b"") is None


def test_the_cluster_tells_where_the_authority_is_an_outer_name() -> None:
    """A gateway forwards `shop.example.com` to the watched service."""
    log = access_log(authority="shop.example.com", cluster=f"outbound|3002|v2|{FORECAST}")

    found = observe(log, "", Identity(), HOSTS, b"")

    assert found is not None
    assert (found.host, found.destination) == (FORECAST, Destination(FORECAST, "v2"))


def test_a_line_that_rbac_denied_is_the_receivers_by_its_server_name() -> None:
    """Denied before a cluster was chosen: it arrived, and must count."""
    log = access_log(
        code=403,
        details="rbac_access_denied_matched_policy[none]",
        cluster="",
        upstream_host="",
        authority="10.0.0.9",
        server_name=f"outbound_.3002_.v1_.{FORECAST}",
    )

    found = observe(log, "", Identity(), HOSTS, b"")

    assert found is not None
    assert (found.role, found.destination) == (Role.SERVER, Destination(FORECAST, "v1"))


def test_a_denied_line_without_server_name_leaves_its_role_open() -> None:
    """The pod tells later which end it was."""
    found = observe(access_log(code=403, cluster=""), "", Identity(), HOSTS, b"")

    assert found is not None
    assert (found.role, found.destination) == (Role.UNROUTED, None)


def test_a_senders_own_answer_leaves_its_role_open_too() -> None:
    """No route: no cluster either."""
    log = access_log(code=404, flags="NR", cluster="", upstream_host="")

    found = observe(log, "", Identity(), HOSTS, b"")

    assert found is not None
    assert found.role == Role.UNROUTED
    assert found.traits & Trait.NOT_ROUTED


@pytest.mark.parametrize(
    ("cluster", "server_name", "plain"),
    [
        ("inbound|3002||", "", True),
        ("inbound|3002||", None, False),
        ("inbound|3002||", f"outbound_.3002_.v2_.{FORECAST}", False),
        (f"outbound|3002|v2|{FORECAST}", "", False),
    ],
)
def test_a_receiver_called_without_tls_is_told(
    cluster: str, server_name: str | None, plain: bool
) -> None:
    """Where the format logs no server name at all, nothing is known."""
    log = access_log(cluster=cluster, server_name=server_name)

    seen = observe(log, "", Identity(), HOSTS, b"")

    assert seen is not None
    assert bool(seen.traits & Trait.PLAIN) is plain
