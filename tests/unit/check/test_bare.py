"""Lines of pods without labels are placed as if they had those that other lines tell."""

from __future__ import annotations

from itertools import product

import pytest

from collector.observation import Observation, observe
from collector.records import AccessLog, Identity
from tests.factories import access_log
from tests.settling import HOST, make_policy
from verifier.check.plan import Plan
from verifier.policies.model import Condition, Policy, StringMatch
from verifier.policies.told import ToldLabels

BARE = Identity("forecast-77cfbd95d8-abcde", "weather", "east", "node-a")
V1, V2 = (("version", "v1"),), (("version", "v2"),)


def with_labels(labels: tuple[tuple[str, str], ...], pod: Identity = BARE) -> Identity:
    """The pod as a line with labels names it."""
    return Identity(pod.pod, pod.namespace, pod.cluster, pod.node, labels=labels)


def told(*pods: Identity) -> Identity:
    """The bare pod, completed by what these lines tell."""
    labels = ToldLabels()
    for pod in pods:
        labels.note(pod)
    return labels.completed(BARE)


def test_a_pod_without_labels_has_those_of_its_other_lines() -> None:
    """All of them have it in common; what is told of others, or of nobody, is none of its."""
    assert told(BARE, with_labels(V1)) == with_labels(V1)
    assert told(with_labels((*V1, ("a", "b"))), with_labels((*V1, ("a", "c")))).labels == V1
    assert told(with_labels(V1), with_labels(V2)) == BARE
    for other in ({"namespace": "b"}, {"cluster": "west"}, {"pod": "forecast-77cfbd95d8-zzzzz"}):
        name = {"pod": BARE.pod, "namespace": BARE.namespace, "cluster": BARE.cluster} | other
        assert told(Identity(**name, labels=V1)) == BARE


def test_labels_of_a_line_are_its_own() -> None:
    """What others tell changes nothing of them, and names nobody who has no name."""
    labels = ToldLabels()
    labels.note(with_labels(V1))
    labels.note(Identity(labels=V1))

    assert labels.completed(with_labels(V2)) == with_labels(V2)
    assert labels.completed(Identity()) == Identity()


EXACT = Condition(path=StringMatch("exact", "/weather"))
HIDDEN = Condition(hidden=("headers.x-user",))
POLICIES = {
    "one route": (make_policy(("v1", 100.0)),),
    "by path": (
        make_policy(("v1", 100.0), name="a", match=(EXACT,)),
        make_policy(("v3", 50.0), name="b"),
    ),
    "by a header": (
        make_policy(("v1", 100.0), name="a", match=(HIDDEN,)),
        make_policy(name="b"),
    ),
    "by gateways": (make_policy(("v1", 100.0), gateways_only=True),),
}
CLUSTERS = ("inbound|3002||", f"outbound|3002|v2|{HOST}", f"outbound|3002|v1|{HOST}", "")
SERVER_NAMES = ("", f"outbound_.3002_.v1_.{HOST}")
LABELS = (V1, V2, (("version", "v9"),), (("istio", "ingressgateway"),), (("app", "forecast"),))


@pytest.mark.parametrize("name", POLICIES)
def test_a_line_is_placed_as_with_the_labels_that_are_told_later(name: str) -> None:
    """Of every role, route and destination."""
    policies: tuple[Policy, ...] = POLICIES[name]
    plan, places = Plan(policies), set()
    for labels, cluster, server_name, path in product(
        LABELS, CLUSTERS, SERVER_NAMES, ("/weather", "/other")
    ):
        log = access_log(cluster=cluster, server_name=server_name, path=path)

        def seen(pod: Identity, log: AccessLog = log) -> Observation:
            found = observe(log, "", pod, plan.hosts, b"")
            assert found is not None
            return found

        full = with_labels(labels)
        bare = plan.bare(seen(BARE))
        assert bare is not None
        assert plan.bare(seen(full)) is None
        assert plan.place_of(bare, full) == plan.place(seen(full))
        places.add(plan.place(seen(full)) == plan.place(seen(BARE)))
    assert places == {True, False}
