"""Canonical names of watched hosts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.hosts import HostTable, service_names, strip_port
from tests.examples import MANY

FORECAST = "forecast.weather.svc.cluster.local"


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("forecast", "forecast"),
        ("Forecast:3002", "forecast"),
        ("forecast.", "forecast"),
        ("forecast.:80", "forecast"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[::1]:80", "::1"),
        ("[::1]", "::1"),
        ("[2001:DB8::1]-shadow:80", "2001:db8::1-shadow"),
        ("[::1", "::1"),
        ("forecast:", "forecast:"),
        ("forecast:http", "forecast:http"),
        ("", ""),
        (":80", ""),
    ],
)
def test_the_host_of_an_authority(authority: str, host: str) -> None:
    """Lower case, without port, brackets and trailing dot; nonsense stays nonsense."""
    assert strip_port(authority) == host


def test_a_service_answers_by_all_its_names() -> None:
    """Short, with namespace, with `svc`, and full."""
    assert service_names(FORECAST) == (
        "forecast",
        "forecast.weather",
        "forecast.weather.svc",
        FORECAST,
    )


def test_a_host_outside_the_cluster_has_one_name() -> None:
    """`www` is not `www.example.com`."""
    assert service_names("www.example.com.") == ("www.example.com",)


@pytest.mark.parametrize(
    "authority",
    ["forecast", "forecast:3002", "FORECAST.weather", "forecast.weather.svc:80", f"{FORECAST}.:80"],
)
def test_every_name_of_a_service_is_one_host(authority: str) -> None:
    """And none of them is a shadow."""
    assert HostTable([FORECAST]).resolve(authority) == (FORECAST, False)


@pytest.mark.parametrize(
    "authority",
    [
        "forecast-shadow",
        "forecast-shadow:3002",
        "forecast.weather-shadow:3002",
        f"{FORECAST}-shadow:3002",
        f"{FORECAST}.-shadow:3002",
    ],
)
def test_envoys_suffix_is_taken_off_and_told(authority: str) -> None:
    """Envoy puts it before the port, behind whatever the client wrote."""
    assert HostTable([FORECAST]).resolve(authority) == (FORECAST, True)


def test_a_host_that_is_really_named_shadow_is_itself() -> None:
    """It may be watched beside the host that it seems to copy."""
    real = "forecast-shadow.weather.svc.cluster.local"
    table = HostTable([FORECAST, real])

    assert table.resolve("forecast-shadow:3002") == (real, False)
    assert table.resolve("forecast-shadow-shadow:3002") == (real, True)


def test_a_shadow_of_a_shadow_is_nobodys() -> None:
    """A chain of mirrors is not the policy's copy."""
    assert HostTable([FORECAST]).resolve("forecast-shadow-shadow") == (None, False)


def test_an_ipv6_host_and_its_copy_are_one() -> None:
    """Envoy writes the suffix behind the bracket."""
    table = HostTable(["2001:db8::1"])

    assert table.resolve("[2001:db8::1]:80") == ("2001:db8::1", False)
    assert table.resolve("[2001:db8::1]-shadow:80") == ("2001:db8::1", True)


def test_a_wildcard_watches_every_name_below_as_a_host_of_its_own() -> None:
    """Not the domain itself, nor a name that merely ends like it."""
    table = HostTable(["*.example.com"])

    assert table.resolve("shop.example.com") == ("shop.example.com", False)
    assert table.resolve("a.b.example.com-shadow:443") == ("a.b.example.com", True)
    assert table.resolve("example.com") == (None, False)
    assert table.resolve("badexample.com") == (None, False)


@pytest.mark.parametrize("authority", ["", "-", "other", "forecast.other", "forecastx", "-shadow"])
def test_other_hosts_are_nobodys(authority: str) -> None:
    """They are counted, not stored."""
    assert HostTable([FORECAST]).resolve(authority) == (None, False)


def test_two_namespaces_share_a_short_name_without_changing_each_others_full_one() -> None:
    """The same answer on every replica: the first by name order."""
    other = "forecast.abroad.svc.cluster.local"

    for hosts in ([FORECAST, other], [other, FORECAST]):
        table = HostTable(hosts)
        assert table.resolve("forecast")[0] == other
        assert table.resolve("forecast.weather")[0] == FORECAST


def test_names_that_strangers_choose_do_not_fill_memory() -> None:
    """Neither very many nor very long ones."""
    table = HostTable([FORECAST])

    for number in range(10_500):
        table.resolve(f"host-{number}")
    table.resolve("x" * 60_000)

    assert len(table._cache) <= 10_000
    assert max(map(len, table._cache)) < 1000


@settings(max_examples=100 * MANY)
@given(st.text(max_size=40))
def test_any_authority_resolves_to_the_same_twice(authority: str) -> None:
    """Cached or not."""
    table = HostTable([FORECAST, "*.example.com"])

    assert table.resolve(authority) == table.resolve(authority)
