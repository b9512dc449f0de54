"""The Helm chart: what every combination of values has in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from collector.settings import Settings, environment
from tests.deploy.cases import CASES, PODS, SETTINGS
from tests.deploy.chart import (
    MINIMAL,
    merged,
    pod,
    pods,
    render,
)
from tests.deploy.chart import (
    environment as environment_of,
)
from tests.deploy.schema import CHART, SCHEMA, with_generated
from tests.deploy.schemas import NEWEST, OLDEST, problems

each_case = pytest.mark.parametrize("name", CASES)
PROGRAMS = {
    "collector": "collect",
    "verifier": "verify",
    "api": "serve",
    "migrate": "migrate",
    "doctor": "doctor",
}


@each_case
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_valid(name: str, version: str) -> None:
    """Kubernetes, old and new, knows every field; so do the projects whose resources we use."""
    objects = render(CASES[name])

    found = [problem for one in objects for problem in problems(one, version)]

    assert found == []
    assert len({(one["kind"], one["metadata"]["name"]) for one in objects}) >= len(objects) - 4


@each_case
def test_every_pod_is_restricted(name: str) -> None:
    """Each pod is what the Pod Security Standard "restricted" admits, and more: read-only."""
    for part, template in pods(render(CASES[name])):
        spec = template["spec"]
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["securityContext"].get("runAsUser", 1) != 0
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))
        allowed = {"configMap", "emptyDir", "secret", "projected"}
        assert {next(iter(set(v) - {"name"})) for v in spec["volumes"]} <= allowed
        mounted = spec["automountServiceAccountToken"]
        needs_it = part == "verifier" and name in _FROM_CLUSTER
        assert mounted is needs_it, part
        assert {"requests", "limits"} <= set(container["resources"])


_FROM_CLUSTER = {"policies from the cluster", "policies from some namespaces", "everything"}


def test_every_setting_is_one_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program takes each part's environment whole: no unknown name, no contradiction."""
    found = {
        tuple(sorted(environment_of(objects, part).items()))
        for objects in map(render, CASES.values())
        for part, _ in pods(objects)
    }
    assert len(found) > len(PROGRAMS)  # most are the same for most values
    for variables in found:
        with monkeypatch.context() as patched:
            for variable, value in variables:
                patched.setenv(variable, value)

            settings = environment.load()

        assert str(settings.database.url_file) == "/etc/mirrorproof/database/url", variables


def test_settings_arrive_as_they_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, lists, flags and formats of several lines reach the program unchanged."""
    for variable, value in environment_of(render(SETTINGS), "collector").items():
        monkeypatch.setenv(variable, value)

    found = environment.load()

    for section, settings in SETTINGS["settings"].items():
        for setting, value in settings.items():
            arrived = getattr(getattr(found, section), setting)
            assert (list(arrived) if isinstance(arrived, tuple) else arrived) == value


@each_case
def test_every_part_runs_the_program_with_options_that_it_has(name: str) -> None:
    """Each pod runs the command that it is called after, and no option that there is not."""
    for part, template in pods(render(CASES[name])):
        command, *options = template["spec"]["containers"][0]["args"]

        assert command == PROGRAMS[part]
        assert set(options[::2]) <= {"--policy"}


@each_case
def test_services_of_the_namespace_never_look_like_settings(name: str) -> None:
    """Kubernetes sets MIRRORPROOF_PORT for a Service of that name, which the program refuses."""
    assert all(one["spec"]["enableServiceLinks"] is False for _, one in pods(render(CASES[name])))


@each_case
def test_what_is_mounted_is_there_and_what_is_named_is_mounted(name: str) -> None:
    """Every mount has its volume, every file that a setting or option names has its mount."""
    objects = render(CASES[name])
    for part, template in pods(objects):
        spec = template["spec"]
        container = spec["containers"][0]
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        files = [v for k, v in environment_of(objects, part).items() if k.endswith("_FILE")]
        files += [text for text in container["args"] if text.startswith("/")]
        if endpoints := environment_of(objects, part).get("MIRRORPROOF_ALERTS__ENDPOINTS"):
            found = json.loads(endpoints)
            files += [v for one in found for k, v in one.items() if k.endswith("_file")]

        assert set(mounts) == {volume["name"] for volume in spec["volumes"]}
        for file in files:
            assert any(Path(file).is_relative_to(path) for path in mounts.values()), file


@each_case
def test_no_secret_is_in_an_object(name: str) -> None:
    """The chart makes no Secret, and no variable holds a password."""
    objects = render(CASES[name])
    secret = ("PASSWORD", "SECRET", "DATABASE__URL", "AUTHORIZATION")

    assert "Secret" not in {one["kind"] for one in objects}
    for part, _ in pods(objects):
        assert not [v for v in environment_of(objects, part) if v.endswith(secret)]


def test_every_part_is_selected_by_its_own_labels_alone() -> None:
    """Selectors of parts hold their own pods, and of no other part."""
    objects = render(CASES["everything"])
    labels = {part: template["metadata"]["labels"] for part, template in pods(objects)}

    for one in objects:
        selector = one["spec"].get("selector", {}) if "spec" in one else {}
        wanted = selector.get("matchLabels", {})
        part = wanted.get("app.kubernetes.io/component")
        if part in PROGRAMS and one["kind"] != "ServiceMonitor":
            chosen = [p for p, have in labels.items() if wanted.items() <= have.items()]
            assert chosen == [part], one["metadata"]["name"]


def test_a_changed_setting_restarts_and_a_changed_policy_does_not() -> None:
    """Settings are read at a start; policy files are watched while a process runs."""
    policies = {"policies": {"files": {"a.yaml": "policies: []"}}}
    others = {"policies": {"files": {"a.yaml": "policies: [] # others"}}}

    before, after = (pod(render(values), "verifier") for values in (policies, others))
    changed = pod(render(policies, {"settings": {"verifier": {"window_s": 20}}}), "verifier")

    assert before == after
    assert before["metadata"]["annotations"] != changed["metadata"]["annotations"]


def test_pods_take_all_that_may_be_said_of_them() -> None:
    """Labels, placement, priority and variables of a part reach its pods."""
    for part, template in pods(render(PODS)):
        given, spec = PODS[part], template["spec"]

        for field in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
            assert spec[field] == given[field], part
        assert spec["terminationGracePeriodSeconds"] == 60
        assert template["metadata"]["labels"]["team"] == "mesh"
        assert template["metadata"]["annotations"]["a"] == "b"
        assert {"name": "TZ", "value": "UTC"} in spec["containers"][0]["env"]


@pytest.mark.parametrize("name", ["minimal", "everything"])
def test_helm_lint_finds_nothing(name: str) -> None:
    """`helm lint --strict` has no error and no warning."""
    found = helm_python.lint(CHART, merged(MINIMAL, CASES[name]), strict=True)

    assert found["errors"] == []
    assert [one for one in found["messages"] if one["severity"] > 1] == []


def test_the_schema_knows_the_settings_of_the_code() -> None:
    """`python -m tests.docs` writes them into the schema."""
    text = SCHEMA.read_text()

    assert text == with_generated(text)


def test_every_value_is_described_and_has_its_default() -> None:
    """Each value of `values.yaml` is in the schema, and whatever is there is described."""
    schema = json.loads(SCHEMA.read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert list(_undescribed(schema, schema, "")) == []
    assert list(_unknown(values, schema, schema, "")) == []


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: dict[str, Any] = schema["definitions"][node["$ref"].rpartition("/")[2]]
    return found


def _undescribed(node: dict[str, Any], schema: dict[str, Any], path: str) -> Any:
    for name, given in node.get("properties", {}).items():
        child = _resolved(given, schema)
        if not child.get("description"):
            yield f"{path}{name}"
        yield from _undescribed(child, schema, f"{path}{name}.")


def _unknown(values: Any, node: dict[str, Any], schema: dict[str, Any], path: str) -> Any:
    if not isinstance(values, dict) or "properties" not in node:
        return
    for name, value in values.items():
        child = node["properties"].get(name)
        if child is None:
            yield f"{path}{name}"
        else:
            yield from _unknown(value, _resolved(child, schema), schema, f"{path}{name}.")


def test_sections_of_settings_are_those_of_the_program() -> None:
    """A section that the program gets is one that the chart takes."""
    schema = json.loads(SCHEMA.read_text())

    assert set(schema["properties"]["settings"]["properties"]) == set(Settings.model_fields)
