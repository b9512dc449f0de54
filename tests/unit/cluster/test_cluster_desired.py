"""From the objects of a cluster to the policies that should be recorded."""

import json
from typing import Any

import pytest

from tests.cluster_server import destination_rule, pod, virtual_service
from verifier.cluster.desired import Desired, desired
from verifier.cluster.pods import read_pod
from verifier.cluster.resources import (
    DESTINATION_RULE,
    HTTP_ROUTE,
    VIRTUAL_SERVICE,
    Resource,
    read_resource,
)

CREATED = "2026-11-22T15:00:00Z"
LATER = "2026-11-22T16:00:00Z"
HOUR_US = 3_600_000_000
KINDS = {one.name: one for one in (VIRTUAL_SERVICE, DESTINATION_RULE, HTTP_ROUTE)}


def resource(found: dict[str, Any]) -> Resource:
    """An object as it is read."""
    return read_resource(KINDS[found["kind"]], "v1", json.dumps(found).encode())


def want(*found: dict[str, Any]) -> Desired:
    """What should be recorded of these objects."""
    return desired([resource(one) for one in found])


def other_host(name: str, **more: Any) -> dict[str, Any]:
    """A VirtualService of another service."""
    found = virtual_service(name, **more)
    found["spec"] = json.loads(json.dumps(found["spec"]).replace("forecast", "billing"))
    return found


def test_a_virtual_service_is_read_as_from_a_file() -> None:
    """Name, subsets of the DestinationRule and rules from annotations; other annotations go."""
    notes = {"mirrorproof/tolerance": "0.01", "kubectl.kubernetes.io/last-applied": "{}"}
    found = want(virtual_service(annotations=notes), destination_rule())
    (policy,) = found.policies
    assert policy.name == "weather/forecast-route"
    assert [(one.name, one.labels) for one in policy.subsets] == [
        ("v1", (("version", "v1"),)),
        ("v2", (("version", "v2"),)),
    ]
    assert policy.rules.tolerance == 0.01
    assert policy.source.startswith("cluster VirtualService weather/forecast-route")


def test_what_has_no_mirror_is_left_out_unless_it_shares_a_host() -> None:
    """Lines of hosts that nobody mirrors would be stored for nothing."""
    found = want(
        virtual_service(), virtual_service("beside", mirror=False), other_host("far", mirror=False)
    )
    assert [one.name for one in found.policies] == ["weather/beside", "weather/forecast-route"]
    assert found.others == 1


def test_a_resource_that_cannot_be_read_stops_no_other() -> None:
    """It is named with the reason; the others are read."""
    wrong = virtual_service("wrong")
    wrong["spec"]["http"][0]["mirrorPercentage"] = {"value": 200}
    rule = destination_rule()
    rule["spec"]["subsets"] = "v1"
    found = want(virtual_service(), wrong, rule)
    assert [one.name for one in found.policies] == ["weather/forecast-route"]
    assert set(found.refused) == {
        "VirtualService weather/wrong",
        "DestinationRule weather/forecast",
    }
    assert "must be between 0 and 100" in found.refused["VirtualService weather/wrong"]


def test_a_subset_that_no_rule_declares_is_a_remark() -> None:
    """The rule may be on its way; the mesh takes the route as it is."""
    found = want(virtual_service(), destination_rule("v2"))
    assert [one.code for one in found.policies[0].lints] == ["unknown-subset"]
    assert not found.refused


def test_a_name_that_two_kinds_share_belongs_to_the_older_one() -> None:
    """An HTTPRoute of the same name is refused, and says so."""
    route = {
        "kind": "HTTPRoute",
        "metadata": {"name": "forecast-route", "namespace": "weather", "creationTimestamp": LATER},
        "spec": {
            "parentRefs": [{"kind": "Service", "name": "forecast"}],
            "rules": [
                {
                    "backendRefs": [{"name": "forecast-v2"}],
                    "filters": [
                        {
                            "type": "RequestMirror",
                            "requestMirror": {"backendRef": {"name": "forecast-v1"}},
                        }
                    ],
                }
            ],
        },
    }
    found = want(route, virtual_service(creationTimestamp=CREATED))
    assert [one.resource for one in found.policies] == ["VirtualService weather/forecast-route"]
    assert "differs from that of" in found.refused["HTTPRoute weather/forecast-route"]


def test_a_change_is_as_old_as_what_the_route_rests_on() -> None:
    """The newest of its own and its DestinationRule's; a status is no change."""
    managed = [
        {"manager": "kubectl", "time": CREATED},
        {"manager": "istiod", "time": "2026-11-23T00:00:00Z", "subresource": "status"},
    ]
    own = virtual_service(managedFields=managed)
    rule = destination_rule()
    rule["metadata"]["managedFields"] = [{"manager": "helm", "time": LATER}]
    title = "VirtualService weather/forecast-route"
    alone, both = want(own).changed_us[title], want(own, rule).changed_us[title]
    assert alone is not None
    assert both == alone + HOUR_US
    assert want(own, destination_rule()).changed_us[title] is None


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"metadata": {}}', b'{"metadata": {"name": 7}}'])
def test_what_is_no_object_says_so(data: bytes) -> None:
    """A ValueError, which is told with the object's name where it has one."""
    with pytest.raises(ValueError, match=r"is no|has no"):
        read_resource(VIRTUAL_SERVICE, "v1", data)


def test_a_pod_is_read_from_start_to_end() -> None:
    """Its proxy may be a container that is started first; it ends with its last container."""
    ended = [{"state": {"terminated": {"finishedAt": LATER}}}]
    data = pod("forecast-v1-a", "v1", phase="Succeeded", containerStatuses=ended)
    found = read_pod(json.dumps(data).encode(), ("istio-proxy",))
    assert found is not None
    assert dict(found.labels)["version"] == "v1"
    assert found.ended_us == found.started_us - 1_000_000 + HOUR_US
    assert read_pod(json.dumps(data).encode(), ("other",)) is None
