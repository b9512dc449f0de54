"""Who follows the runbook's section on installing gets a valid installation."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import helm_python
import pytest
import typer.main
import yaml

from tests.deploy.chart import NAMESPACE, WITH_PODS
from tests.deploy.schema import CHART
from tests.deploy.schemas import problems
from verifier.cli import app, register_all
from verifier.policies.lint import lint
from verifier.policies.read import read_policies

ROOT = CHART.parents[1]
SECTION = (
    (CHART.parent / "README.md")
    .read_text()
    .partition("## Install in a cluster")[2]
    .partition("\n## ")[0]
)


def blocks(kind: str) -> list[str]:
    """The section's blocks of code of a kind, without their indentation."""
    found = re.findall(r"^   ```(\w*)\n(.*?)^   ```", SECTION, flags=re.M | re.S)
    return [textwrap.dedent(text) for language, text in found if language == kind]


def values() -> dict[str, Any]:
    """The values that the section has one write."""
    (text,) = blocks("yaml")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def commands(program: str) -> list[list[str]]:
    """The section's commands of a program, as words."""
    lines = [line for block in blocks("") for line in block.splitlines()]
    lines += re.findall(r"`(kubectl apply [^`]*)`", SECTION)
    return [words for line in lines if (words := shlex.split(line))[0] == program]


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    """What `helm template` makes of them."""
    chart = helm_python.Chart.load(CHART)
    files = chart.render(values(), name="mirrorproof", namespace=NAMESPACE)
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def test_the_values_are_valid_and_so_is_what_comes_of_them(objects: list[dict[str, Any]]) -> None:
    """`helm lint --strict` is quiet, and Kubernetes knows every field."""
    found = helm_python.lint(CHART, values(), strict=True)

    assert [one for one in found["messages"] if one["severity"] > 1] == []
    assert [problem for one in objects for problem in problems(one)] == []
    assert {"PrometheusRule", "ServiceMonitor", "NetworkPolicy", "Job"} <= {
        one["kind"] for one in objects
    }


def test_every_secret_that_is_used_was_made(objects: list[dict[str, Any]]) -> None:
    """The commands make each Secret, with each key, that pods mount."""
    made = {}
    for words in commands("kubectl"):
        if "generic" in words:
            name = words[words.index("generic") + 1]
            given = [word.partition("=")[2] for word in words if word.startswith("--from-")]
            made[name] = {one.partition("=")[0] for one in given}
    used: dict[str, set[str]] = {}
    for one in objects:
        if one["kind"] in WITH_PODS:
            for volume in one["spec"]["template"]["spec"]["volumes"]:
                sources = [volume, *volume.get("projected", {}).get("sources", [])]
                for secret in (source["secret"] for source in sources if "secret" in source):
                    name = secret.get("secretName", secret.get("name"))
                    keys = {item["key"] for item in secret.get("items", [])}
                    used.setdefault(name, set()).update(keys)
    used["mirrorproof-alerts"].update(e["url_key"] for e in values()["alerts"]["endpoints"])

    assert used == made


def test_every_command_names_what_is_there(objects: list[dict[str, Any]]) -> None:
    """Files and folders of the repository, the values' file, the deployment of the verifier."""
    names = {f"{one['kind'].lower()}/{one['metadata']['name']}" for one in objects}

    for words in [*commands("helm"), *commands("kubectl")]:
        for word in words:
            if word.startswith("mirrorproof/"):
                assert (ROOT / word.removeprefix("mirrorproof/")).exists(), word
            if word.startswith(("deploy/", "svc/", "job/")):
                kind, _, name = word.partition("/")
                whole = {"deploy": "deployment", "svc": "service"}.get(kind, kind)
                assert f"{whole}/{name}" in names
    assert [words[1] for words in commands("helm")] == ["lint", "template", "install", "test"]
    assert all("mirrorproof.yaml" in words for words in commands("helm")[:3])


def test_commands_of_the_program_exist() -> None:
    """What is run in the verifier's pod are commands and endpoints that there are."""
    register_all()
    program = typer.main.get_command(app)

    ran = [words[words.index("--") + 2 :] for words in commands("kubectl") if "--" in words]

    assert len(ran) == 2
    for group, command, *arguments in ran:
        assert command in program.commands[group].commands  # type: ignore[attr-defined]
        if (group, command) == ("alert", "test"):
            assert arguments[0] in {one["name"] for one in values()["alerts"]["endpoints"]}


def test_the_policy_is_clean(tmp_path: Path) -> None:
    """The example's policy is one that the reader has nothing to remark on."""
    for name, text in values()["policies"]["files"].items():
        (tmp_path / name).write_text(text)

    assert lint(read_policies([tmp_path])) == []


def test_every_value_that_the_section_names_exists() -> None:
    """`networkPolicy.apiFrom` and its like are values of the chart."""
    known = yaml.safe_load((CHART / "values.yaml").read_text())
    named = re.findall(
        r"`((?:networkPolicy|monitoring|collector|kafka|policies)\.[\w.]+)`", SECTION
    )

    assert len(named) > 5
    for path in named:
        found = known
        for part in path.split("."):
            assert part in found, path
            found = found[part]


def test_links_lead_to_files() -> None:
    """Each link of the section is to a file that is there."""
    links = re.findall(r"\]\(([^)#]+)\)", SECTION)

    assert [link for link in links if not (CHART.parent / link).exists()] == []
