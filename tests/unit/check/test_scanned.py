"""Pods that lines of several files name get one number each."""

from __future__ import annotations

import pytest

from collector.records import Identity
from verifier.check.scan import ChunkReport
from verifier.check.scanned import Scanned

WEB = "web-0"
WEATHER, NEWS, BARE = Identity(WEB, "weather"), Identity(WEB, "news"), Identity(WEB)


def numbers(*pods: Identity) -> list[Identity]:
    """Which pods are told apart, each as it was named first; a worker for each line."""
    scanned = Scanned(access_logs=[0], quarantined=[0])
    for worker, pod in enumerate(pods):
        scanned.join(ChunkReport(worker=worker, pods=[pod]), 0, 0)
    return scanned.pods


def test_pods_of_one_name_in_two_namespaces_are_two() -> None:
    """As those of a StatefulSet are: the log of one must not stand for that of the other."""
    assert numbers(WEATHER, NEWS, WEATHER) == [WEATHER, NEWS]
    assert numbers(WEATHER, Identity(WEB, "weather", "east")) == [
        WEATHER,
        Identity(WEB, "weather", "east"),
    ]


@pytest.mark.parametrize("pods", [(WEATHER, BARE), (BARE, WEATHER)])
def test_a_pod_without_namespace_is_the_one_of_its_name(pods: tuple[Identity, ...]) -> None:
    """A file that is named after it, beside what a shipper says of it."""
    assert numbers(*pods) == [pods[0]]


def test_a_pod_without_namespace_is_neither_of_two() -> None:
    """Nobody knows whose lines they are."""
    assert numbers(WEATHER, NEWS, BARE) == [WEATHER, NEWS, BARE]
