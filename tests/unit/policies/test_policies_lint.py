"""What a person should look at in policies."""

from __future__ import annotations

import pytest

from verifier.policies.lint import lint

LIVE = "route: [{destination: {host: forecast, subset: v2}}]"
MIRROR = "mirror: {host: forecast, subset: v1}"


def _codes(policies):
    return {(one.severity, one.code) for one in lint(policies)}


def test_the_seed_is_clean(golden):
    """The seed's policy has nothing to look at."""
    assert lint(golden("weather-mirror.yaml")) == []


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        (
            f"[{{{LIVE}, {MIRROR}, mirrorPercentage: {{value: 0.00001}}}}]",
            ("error", "percentage-truncated-to-zero"),
        ),
        (
            f"[{{{LIVE}, {MIRROR}, mirrorPercentage: {{value: 0.00015}}}}]",
            ("note", "percentage-truncated"),
        ),
        (f"[{{{LIVE}, {MIRROR}, mirrorPercent: 5}}]", ("warning", "deprecated-mirror-percent")),
        (
            "[{route: [{destination: {host: forecast, subset: v2}, weight: 95}, "
            f"{{destination: {{host: forecast, subset: v1}}, weight: 5}}], {MIRROR}}}]",
            ("warning", "mirror-has-live-weight"),
        ),
        (
            "[{route: [{destination: {host: forecast}}], mirror: {host: forecast}}]",
            ("error", "mirror-has-live-weight"),
        ),
        (f"[{{{LIVE}, {MIRROR}}}]", ("warning", "subset-without-destination-rule")),
        (
            f"[{{match: [{{headers: {{a: {{exact: b}}}}}}], {LIVE}, {MIRROR}}}]",
            ("warning", "hidden-condition"),
        ),
        (
            f"[{{name: n, match: [{{headers: {{a: {{exact: b}}}}}}], {LIVE}, {MIRROR}}}]",
            ("note", "hidden-condition"),
        ),
        (f"[{{{LIVE}}}, {{{LIVE}, {MIRROR}}}]", ("error", "unreachable-route")),
        (f"[{{{LIVE}}}]", ("error", "no-mirror")),
    ],
)
def test_each_rule(read_http, http, expected):
    """Each rule speaks of the route it is about."""
    policies = read_http(http)

    assert expected in _codes(policies)
    assert all("policy-0.yaml document 1 spec.http[" in one.where for one in lint(policies))


def test_several_mirrors(golden):
    """Several mirrors are worth a note."""
    assert _codes(golden("weather-two-mirrors.yaml")) == {("note", "several-mirrors")}


def test_truncation_is_not_reported_for_exact_values(read_http):
    """29.0 and 0.29 are what Istio keeps."""
    for value in ("29.0", "0.29", "33.3333", "100"):
        policies = read_http(f"[{{{LIVE}, {MIRROR}, mirrorPercentage: {{value: {value}}}}}]")
        assert not [one for one in lint(policies) if one.code.startswith("percentage")]


def test_gateways_without_mesh_and_shared_hosts(read):
    """Calls inside the mesh do not take a gateway's route, and a host has one owner."""
    form = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {0}}}\n"
        "spec: {{hosts: [forecast], gateways: [{1}], http: [{{redirect: {{}}}}]}}"
    )
    policies = read(form.format("a", "edge"), form.format("b", "mesh"))

    codes = _codes(policies)

    assert ("warning", "gateways-without-mesh") in codes
    assert ("warning", "host-in-two-resources") in codes
    assert [one.severity for one in lint(policies)] == ["error", "warning", "warning"]
