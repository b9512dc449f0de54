from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from verifier.demo.access_log import TEXT_FORMAT, LogFormat, render_access_log
from verifier.demo.envoy_config import Route, render_inbound, render_outbound, render_routes

V1 = "outbound|3002|v1|forecast.weather.svc.cluster.local"
V2 = "outbound|3002|v2|forecast.weather.svc.cluster.local"


def action_of(route: Route) -> dict[str, Any]:
    """What the rendered routes do with `/weather`."""
    config = render_routes(route, version=7)["resources"][0]
    action: dict[str, Any] = config["virtual_hosts"][0]["routes"][0]["route"]
    return action


def test_a_mirrored_route_sends_to_v2_and_copies_everything_to_v1() -> None:
    """The ordinary route has one live cluster and one mirror of all requests."""
    action = action_of(Route())

    (mirror,) = action["request_mirror_policies"]
    assert action["cluster"] == V2
    assert mirror["cluster"] == V1
    assert mirror["runtime_fraction"]["default_value"] == {
        "numerator": 1_000_000,
        "denominator": "MILLION",
    }


def test_a_route_of_zero_percent_has_no_mirror() -> None:
    """A removed mirror is no policy at all, as Istio renders it."""
    action = action_of(Route(mirror_percent=0))

    assert "request_mirror_policies" not in action


@pytest.mark.parametrize(("percent", "numerator"), [(30, 300_000), (0.01, 100), (0.00001, 0)])
def test_percentages_are_cut_to_millionths(percent: float, numerator: int) -> None:
    """Istio truncates a percentage to millionths; tiny ones become zero."""
    action = action_of(Route(mirror_percent=percent))

    (mirror,) = action["request_mirror_policies"]
    assert mirror["runtime_fraction"]["default_value"]["numerator"] == numerator


def test_drifted_weights_split_the_live_traffic() -> None:
    """A weight on v1 makes a weighted route, and the mirror stays."""
    action = action_of(Route(v1_weight=5))

    assert action["weighted_clusters"]["clusters"] == [
        {"name": V1, "weight": 5},
        {"name": V2, "weight": 95},
    ]
    assert len(action["request_mirror_policies"]) == 1


def test_a_mirror_can_stand_twice_and_without_the_suffix() -> None:
    """Two mirrors make two copies; the suffix is switched off on each."""
    action = action_of(Route(mirrors=2, shadow_suffix=False))

    switches = [
        mirror["disable_shadow_host_suffix_append"] for mirror in action["request_mirror_policies"]
    ]
    assert switches == [True, True]


def test_routes_carry_their_version() -> None:
    """The version is how the mesh sees that a change is in force."""
    assert render_routes(Route(), version=7)["version_info"] == "7"


def test_an_inbound_sidecar_forwards_to_its_application() -> None:
    """Its one cluster has Istio's inbound name and the application's port."""
    config = render_inbound(4711, render_access_log(Path("/logs/pod.log"), LogFormat.TEXT))

    (cluster,) = config["static_resources"]["clusters"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert cluster["name"] == "inbound|3002||"
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == 4711


def test_the_frontend_watches_its_routes_file() -> None:
    """Routes come from a file, so that they change without a restart."""
    log = render_access_log(Path("/logs/pod.log"), LogFormat.TEXT)

    config = render_outbound({"v1": [1], "v2": [2, 3]}, log, Path("/state/routes.json"))

    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    source = manager["rds"]["config_source"]
    assert source["path_config_source"] == {"path": "/state/routes.json"}
    assert [cluster["name"] for cluster in config["static_resources"]["clusters"]] == [V1, V2]


def test_the_text_format_is_istios_default() -> None:
    """The format has the five quoted fields and ends with server name and route name."""
    assert TEXT_FORMAT.count('"') == 14
    assert TEXT_FORMAT.endswith("%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n")


def test_json_logs_have_istios_keys() -> None:
    """The JSON format is rendered as fields, not as text."""
    config = render_access_log(Path("/logs/pod.log"), LogFormat.JSON)["typed_config"]

    assert config["log_format"]["json_format"]["request_id"] == "%REQ(X-REQUEST-ID)%"
