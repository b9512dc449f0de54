"""Which destination the pod of a server line is."""

from __future__ import annotations

import pytest

from collector.observation import Destination
from collector.records import Identity
from verifier.policies.resolve import PodVersions

FORECAST = "forecast.weather.svc.cluster.local"
V1 = Destination(FORECAST, "v1")
V2 = Destination(FORECAST, "v2")


def _short(read, text):
    return PodVersions(read(f"policies: [{{{text}}}]"))


def _pod(name, namespace="", **labels):
    return Identity(pod=name, namespace=namespace, labels=tuple(sorted(labels.items())))


@pytest.mark.parametrize(
    ("pod", "destination"),
    [
        ("forecast-v1-5d8f9b7c6-abcde", V1),
        ("forecast-v2-7b9c4d5e8-klmno", V2),
        ("forecast-v2-bcdfghjkl-mnpqr", V2),
        ("forecast-svc-v1-5d8f9b7c6-abcde", V1),
        ("forecast-v1-xk2lp", V1),
        ("forecast-v1-0", V1),
        ("forecast-v1", V1),
        ("v1", V1),
        ("legacy-v2-5d8f9b7c6-abcde", V2),
        ("forecast-v3-5d8f9b7c6-abcde", None),
        ("forecast-5d8f9b7c6-abcde", None),
        ("forecastv1", None),
        ("frontend-6c9d8f7b5d-x2x7p", None),
        ("", None),
    ],
)
def test_names(golden, pod, destination):
    """The end of the workload's name tells the version."""
    versions = PodVersions(golden("weather-mirror.yaml"))

    assert versions.destination(_pod(pod)) == destination
    assert versions.destination(_pod(pod)) == destination  # from the cache


@pytest.mark.parametrize(
    ("pod", "destination"),
    [
        (_pod("forecast-v1-5d8f9b7c6-abcde"), V1),
        (_pod("release-forecast-v2-5d8f9b7c6-abcde"), V2),
        (_pod("v1"), V1),
        (_pod("v1-5d8f9b7c6-abcde"), V1),
        (_pod("legacy", version="v1", app="forecast"), V1),
        (_pod("legacy", version="v1", app="frontend"), None),
        (_pod("frontend-v1-6c9d8f7b5d-x2x7p"), None),
        (_pod("frontend"), None),
    ],
)
def test_names_of_pods_that_may_be_senders(golden, pod, destination):
    """Where no line shows that a pod receives, the end of its name does not suffice."""
    assert PodVersions(golden("weather-mirror.yaml")).sure(pod) == destination


def test_another_namespace_is_another_service(golden):
    """A pod of another namespace is never one of the service's."""
    versions = PodVersions(golden("weather-mirror.yaml"))

    assert versions.destination(_pod("forecast-v1", "weather")) == V1
    assert versions.destination(_pod("forecast-v1", "staging")) is None
    assert versions.belongs(_pod("forecast-v1", "staging")) is None


def test_labels_come_before_names(golden):
    """The pod's labels decide against its name, and refute it when they say another version."""
    versions = PodVersions(golden("weather-mirror.yaml"))

    assert versions.destination(_pod("forecast-v1-0", version="v2")) == V2
    assert versions.destination(_pod("forecast-v1-0", version="v9")) is None
    assert versions.destination(_pod("forecast-v1-0", app="forecast")) == V1
    assert versions.destination(_pod("web-0", app="forecast", version="v1")) == V1


def test_labels_without_a_destination_rule(read):
    """Without a DestinationRule the label `version` equals the subset's name, or says nothing."""
    versions = _short(read, "host: forecast.weather, primary: v2, mirror: v1")

    assert versions.destination(_pod("forecast-0", version="v1")) == V1
    assert versions.destination(_pod("forecast-v1-0", version="1.0")) == V1


def test_subset_labels_that_are_not_its_name(read):
    """The DestinationRule's label value ends the workload's name; dots may be dashes."""
    versions = _short(
        read,
        "host: forecast.weather, primary: new, mirror: old, "
        "versions: {new: {version: 2.0.1}, old: {track: stable}}",
    )

    assert versions.destination(_pod("forecast-2-0-1-5d8f9b7c6-abcde")).subset == "new"
    assert versions.destination(_pod("forecast-2.0.1")).subset == "new"
    assert versions.destination(_pod("forecast-stable-0")).subset == "old"
    assert versions.destination(_pod("forecast-old-0")).subset == "old"


def test_the_longest_version_wins(read):
    """`canary-v1` is not `v1`."""
    versions = _short(read, "host: forecast.weather, primary: v1, mirror: canary-v1")

    assert versions.destination(_pod("forecast-canary-v1-0")).subset == "canary-v1"
    assert versions.destination(_pod("forecast-v1-0")).subset == "v1"


def test_hosts_without_subsets(read):
    """A service per version: the longest service name that begins the pod's wins."""
    versions = _short(read, "host: forecast.weather, mirror: {host: forecast-next.weather}")

    next_host = "forecast-next.weather.svc.cluster.local"
    assert versions.destination(_pod("forecast-5d8f9b7c6-abcde")) == Destination(FORECAST)
    assert versions.destination(_pod("forecast-next-5d8f9b7c6-abcde")) == Destination(next_host)
    assert versions.destination(_pod("forecasting-0")) is None


def test_a_whole_service_takes_what_no_subset_takes(read):
    """Live traffic without a subset goes to every pod that is no mirror."""
    versions = _short(read, "host: forecast.weather, mirror: v1")

    assert versions.destination(_pod("forecast-v1-0")) == V1
    assert versions.destination(_pod("forecast-v7-0")) == Destination(FORECAST)


def test_a_foreign_workload_of_two_services_is_unknown(read):
    """When no service name begins the workload's, its end must fit just one destination."""
    versions = PodVersions(
        read("policies: [{host: a.x, primary: v2, mirror: v1}, {host: b.x, primary: v3}]")
    )

    assert versions.destination(_pod("legacy-v3")).host == "b.x.svc.cluster.local"
    other = PodVersions(read("policies: [{host: a.x, primary: v1}, {host: b.x, primary: v1}]"))
    assert other.destination(_pod("legacy-v1")) is None
    assert other.destination(_pod("b-v1")).host == "b.x.svc.cluster.local"


def test_server_name_comes_last_and_breaks_ties(read):
    """The TLS server name decides for nameless pods, and between subsets of the same pods."""
    versions = _short(
        read,
        "host: forecast.weather, primary: [{subset: v2, weight: 9}, {subset: v1, weight: 1}], "
        "mirror: v1-copy, versions: {v1: {version: v1}, v1-copy: {version: v1}}",
    )
    copy = Destination(FORECAST, "v1-copy")

    assert versions.destination(_pod("x-0"), copy) == copy
    assert versions.destination(_pod("forecast-v1-0"), copy) == copy
    assert versions.destination(_pod("forecast-v1-0"), V1) == V1
    assert versions.destination(_pod("forecast-v1-0")) is None
    assert versions.destination(_pod("forecast-v2-0"), copy) == V2
    assert versions.destination(_pod("forecast-v2-0"), Destination("news.x", "v1")) == V2


def test_declared_subsets_come_after_used_ones(golden, read):
    """A version that only a DestinationRule names is known, and is no destination of the policy."""
    versions = _short(
        read, "host: forecast.weather, primary: v2, mirror: v1, versions: {v3: {version: v3}}"
    )

    assert versions.destination(_pod("forecast-v3-0")) == Destination(FORECAST, "v3")


def test_belongs_without_a_version(golden):
    """A watched service's pod of unknown version is told from a stranger's."""
    versions = PodVersions(golden("weather-mirror.yaml"))

    assert versions.belongs(_pod("forecast-v3-0")) == FORECAST
    assert versions.belongs(_pod("web-0", app="forecast")) == FORECAST
    assert versions.belongs(_pod("web-0"), Destination(FORECAST)) == FORECAST
    assert versions.belongs(_pod("frontend-v1-6c9d8f7b5d-x2x7p")) is None
    archive = Destination("forecast-archive.weather.svc.cluster.local")
    assert versions.belongs(_pod("forecast-archive-0"), archive) is None


def test_questions_of_a_policy(golden, read):
    """A policy says which destinations are live, which are mirrors and what they are owed."""
    (policy,) = golden("weather-two-mirrors.yaml")
    (whole,) = read("policies: [{host: forecast.weather, mirror: {host: copy, percent: 30}}]")
    copy = Destination("copy.weather.svc.cluster.local", "v9")

    assert policy.is_live(V2)
    assert not policy.is_live(V1)
    assert policy.mirrors_to(V1) == policy.mirrors
    assert policy.mirror_of(V2) is None
    assert policy.percent(V2) == 0
    assert whole.is_live(V1)
    assert whole.percent(copy) == 30
    assert whole.destinations() == (Destination(FORECAST), Destination(copy.host))
