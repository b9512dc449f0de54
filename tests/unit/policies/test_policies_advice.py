"""Each remark on a policy says what to do, by a code that stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.errors import UsageError
from verifier.policies.advice import ADVICE
from verifier.policies.istio_versions import IstioVersion, read_version
from verifier.policies.lint import lint
from verifier.policies.read import read_policies

VERIFIER = Path(__file__).parents[3] / "verifier"
LIVE = "route: [{destination: {host: forecast, subset: v2}}]"
MIRROR = "mirror: {host: forecast, subset: v1}"


def codes(policies, istio=None):
    """Severity and code of all remarks."""
    return {(one.severity, one.code) for one in lint(policies, istio)}


def test_every_code_has_its_advice():
    """What the code says and what the table says are the same set."""
    source = "".join(path.read_text() for path in VERIFIER.rglob("*.py"))
    used = set(re.findall(r'"(?:error|warning|note)"[^"]{1,40}"([a-z]+(?:-[a-z]+)+)"', source))
    assert used <= ADVICE.keys()
    assert {code for code in ADVICE if f'"{code}"' not in source} == set()


def test_remarks_carry_their_advice(read_http):
    """So that nobody has to look it up."""
    found = lint(read_http(f"[{{{LIVE}, {MIRROR}, mirrorPercent: 5}}]"))
    assert {one.advice == ADVICE[one.code] for one in found} == {True}


def test_an_unknown_subset_is_a_remark_among_others(read_http, tmp_path):
    """`check` refuses it; the lint names it beside all else that is wrong."""
    rule = (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
        "metadata: {name: forecast, namespace: weather}\n"
        "spec: {host: forecast, subsets: [{name: v2, labels: {version: v2}}]}\n"
    )
    read_http(f"[{{{LIVE}, {MIRROR}}}]")
    (tmp_path / "rule.yaml").write_text(rule)
    paths = [tmp_path / "policy-0.yaml", tmp_path / "rule.yaml"]
    with pytest.raises(UsageError, match="unknown subset 'v1'"):
        read_policies(paths)

    assert ("error", "unknown-subset") in codes(read_policies(paths, strict=False))


@pytest.mark.parametrize(
    ("hosts", "version", "expected"),
    [
        ("['*']", "v1", ("warning", "wildcard-host")),
        ("['*.example.com']", "v1", ("warning", "wildcard-host")),
        ("[forecast]", "v1alpha3", ("note", "deprecated-api-version")),
    ],
)
def test_hosts_and_versions(read, hosts, version, expected):
    """Wildcards do not tell which names callers use; old versions have newer ones."""
    policies = read(
        f"apiVersion: networking.istio.io/{version}\nkind: VirtualService\n"
        f"metadata: {{name: a, namespace: weather}}\nspec: {{hosts: {hosts}, gateways: [mesh, g], "
        f"http: [{{{LIVE}, {MIRROR}}}]}}"
    )
    assert expected in codes(policies)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.19.3", {"mirrors-unknown-to-istio", "shadow-suffix"}),
        ("v1.27", {"shadow-suffix"}),
        ("1.28.0-alpha.1", {"shadow-suffix"}),
    ],
)
def test_what_a_version_of_istio_makes_of_it(read_http, version, expected):
    """What it does not know, and whether it adds the suffix."""
    two = "mirrors: [{destination: {host: forecast, subset: v1}}, {destination: {host: other}}]"
    policies = read_http(f"[{{{LIVE}, {two}}}]")

    found = codes(policies, read_version("--istio-version", version)) - codes(policies)

    assert {code for _, code in found} == expected


def test_istio_takes_a_wrong_share_from_an_http_route_at_first(read):
    """Until 1.24.3."""
    policies = read(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec: "
        "{parentRefs: [{kind: Service, name: f}], rules: [{backendRefs: [{name: f2}], filters: "
        "[{type: RequestMirror, requestMirror: {backendRef: {name: f1}, percent: 30}}]}]}"
    )
    wrong = ("error", "percentage-wrong-in-istio")
    assert wrong in codes(policies, IstioVersion(1, 24, 2))
    assert wrong not in codes(policies, IstioVersion(1, 24, 3))


def test_a_version_that_is_none_is_refused():
    """In one line."""
    with pytest.raises(UsageError, match="--istio-version must be a version"):
        read_version("--istio-version", "latest")


def test_rules_come_from_annotations(read):
    """A VirtualService and an HTTPRoute have them there; unknown ones are refused."""
    form = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a, "
        "annotations: {{mirrorproof/{0}, other: x}}}}\nspec: {{hosts: [f], http: [{1}]}}"
    )
    route = f"{{{LIVE}, {MIRROR}}}"
    (found,) = read(form.format("change-grace: 20s", route))
    assert found.rules.change_grace_us == 20_000_000
    (found,) = read(form.format('tolerance: "0.01"', route))
    assert found.rules.tolerance == 0.01
    for wrong in ("chnge-grace: 20s", "tolerance: much", "grace: '5'"):
        with pytest.raises(UsageError, match="mirrorproof/"):
            read(form.format(wrong, route))
