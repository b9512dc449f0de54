"""Reading files: limits, errors, and that nothing else than UsageError comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.errors import UsageError
from tests.examples import MANY
from verifier.policies.documents import MAX_BYTES
from verifier.policies.lint import lint
from verifier.policies.read import read_policies
from verifier.policies.resolve import PodVersions, RouteTable

SEED = (Path(__file__).parents[2] / "data/policies/weather-mirror.yaml").read_text()


def _message(data: bytes, folder: Path) -> str:
    path = folder / "policy.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_policies([path])
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing\n---\n---\n", "is empty"),
        ("a: [1, 2\nb: 3", "is not YAML at 2:"),
        ("a: !!python/object:os.system x", "is not YAML at 1:4"),
        ("just words", "document 1: must be a mapping, is 'just words'"),
        ("polices: []", "document 1 polices: unknown field; did you mean policies?"),
        ("kind: Deployment\nspec: {}", "no policy inside"),
        ("policies: []", "no policy inside"),
        ("apiVersion: networking.istio.io/v9\nkind: VirtualService", "apiVersion: must be one of"),
        ("kind: VirtualService", "apiVersion: must be one of networking.istio.io/v1alpha3"),
        ("a: &a [*a]", "alias *a contains itself"),
        ("[" * 900, "nested more than 64"),
        ("[" * 100_000, "nest"),
        ("2: x", "field name '2' must be text"),
        ("a: 2001-99-99", "is not YAML: month must be in 1..12"),
        ("a: !!bool x", "is not YAML"),
        ("---\n" * 1001, "more than 1000 documents"),
        ("x" * (MAX_BYTES + 1), "larger than 1 MiB"),
        ("a: \x00", "is not YAML"),
        (
            "kind: VirtualService\nmetadata: {annotations: "
            "{kubectl.kubernetes.io/last-applied-configuration: '{'}}",
            "last-applied-configuration: is not JSON",
        ),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, text, message):
    """Files that are no policies are refused with one line."""
    assert message in _message(text.encode(), tmp_path)


def test_not_utf8_is_said(tmp_path):
    """A file in another encoding is refused with the place."""
    assert "is not UTF-8 text (byte 3)" in _message(b"a: \xff", tmp_path)


def test_alias_bombs_are_refused(tmp_path):
    """Nested aliases are counted written out, before anything is built."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert "aliases included" in _message("\n".join(lines).encode(), tmp_path)


@pytest.mark.parametrize("name", ["missing.yaml", ".", "nul\0.yaml"])
def test_unreadable_paths_are_said(tmp_path, name):
    """A missing file, an empty folder and an impossible name are wrong usage."""
    with pytest.raises(UsageError, match=r"cannot be read|holds no \.yaml"):
        read_policies([tmp_path / name])


def test_other_kinds_are_skipped(tmp_path):
    """Resources without routes, and VirtualServices of other products, are not ours."""
    path = tmp_path / "all.yaml"
    others = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n---\n"
        "apiVersion: gateway.solo.io/v1\nkind: VirtualService\nspec: 3\n---\n"
    )
    path.write_text(others + SEED)

    assert [policy.name for policy in read_policies([path])] == ["weather/forecast-route"]
    assert read_policies([path])[0].source.endswith("all.yaml document 3 spec.http[0]")


def test_a_policy_may_be_given_twice_but_not_differently(tmp_path):
    """The same resource twice is one policy; two that differ are refused with both places."""
    (tmp_path / "a.yaml").write_text(SEED)
    (tmp_path / "b.yaml").write_text(SEED)
    assert len(read_policies([tmp_path])) == 1

    (tmp_path / "b.yaml").write_text(SEED.replace("value: 100", "value: 10"))
    with pytest.raises(UsageError, match=r"b\.yaml.* differs from that of .*a\.yaml"):
        read_policies([tmp_path])


def _only_usage_errors(text: str, path: Path) -> None:
    path.write_bytes(text.encode("utf-8", "replace"))
    try:
        policies = read_policies([path])
    except UsageError as err:
        assert str(err).isprintable()  # noqa: PT017 - other exceptions must pass through
        return
    lint(policies)
    RouteTable(policies).route("GET", "/weather?a=b", "forecast.weather.svc.cluster.local")
    PodVersions(policies)


FUZZ = settings(max_examples=60 * MANY, suppress_health_check=list(HealthCheck))
_LINES = SEED.splitlines()
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["forecast", "v1", "*", "GET", "/", "(a|b)*", "5s", "mesh"]),
    st.dates(),
    st.datetimes(),
)
_FIELDS = st.sampled_from(
    [
        "host",
        "hosts",
        "http",
        "route",
        "destination",
        "subset",
        "weight",
        "mirror",
        "mirrors",
        "mirrorPercentage",
        "value",
        "match",
        "uri",
        "exact",
        "prefix",
        "regex",
        "method",
        "headers",
        "queryParams",
        "name",
        "delegate",
        "gateways",
        "policies",
        "primary",
        "percent",
        "rules",
        "horizon",
        "versions",
        "valid_from",
        "path_prefix",
        "methods",
    ]
)
_TREES = st.recursive(
    _VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=4),
    max_leaves=12,
)


@FUZZ
@given(text=st.text(st.characters(codec=None), max_size=60))
def test_no_text_raises_anything_else(tmp_path, text):
    """Any text at all is read or refused with a UsageError."""
    _only_usage_errors(text, tmp_path / "any.yaml")


@FUZZ
@given(st.integers(0, len(_LINES) - 1), st.text("abv:[]{}-&*!'\"#| \n%@0.~<\\", max_size=12))
def test_no_broken_line_raises_anything_else(tmp_path, at, text):
    """The seed with one broken line is read or refused with a UsageError."""
    lines = list(_LINES)
    lines[at] += text

    _only_usage_errors("\n".join(lines), tmp_path / "broken.yaml")


@FUZZ
@given(http=_TREES, policies=_TREES)
def test_no_tree_raises_anything_else(tmp_path, http, policies):
    """Known fields with values of any type are read or refused with a UsageError."""
    service = yaml.safe_load(SEED.split("---")[0])
    service["spec"]["http"] = http if isinstance(http, list) else [http]

    _only_usage_errors(yaml.safe_dump(service), tmp_path / "tree.yaml")
    _only_usage_errors(yaml.safe_dump({"policies": [policies]}), tmp_path / "short.yaml")
