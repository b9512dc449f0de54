"""Rules and dashboard ask for metrics and labels that the code exposes, and lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from collector.metric import Kind
from collector.metrics import SPECS
from tests.dashboard import DASHBOARD, as_text, expressions
from verifier.incidents.event import Kind as IncidentKind

_ROOT: Final = Path(__file__).parents[2]
_RULES: Final = _ROOT / "deploy" / "chart" / "files" / "rules.yaml"
_CASES: Final = _ROOT / "tests" / "data" / "rules_test.yaml"
_RUNBOOK: Final = _ROOT / "deploy" / "README.md"
_OF_PROMETHEUS: Final = {"job", "instance"}


def alerts() -> list[Any]:
    """The alerting rules."""
    found = yaml.safe_load(_RULES.read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def exposed() -> dict[str, set[str]]:
    """The labels of every series there is, by its name; test_metrics holds them to the answers."""
    found = {spec.full_name: {*spec.labels} for spec in SPECS}
    for spec in SPECS:
        if spec.kind is Kind.HISTOGRAM:
            parts = ("_bucket", {"le"}), ("_count", set[str]()), ("_sum", set[str]())
            found |= {spec.full_name + end: {*spec.labels, *more} for end, more in parts}
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for family in registry.collect():
        found |= {sample.name: {*sample.labels} for sample in family.samples}
    return found


def unknown(expression: str) -> set[str]:
    """What an expression asks for that nobody exposes: metrics, and labels of those it names."""
    known, wrong = exposed(), set()
    labels = {*_OF_PROMETHEUS}
    for name, matchers in re.findall(r"\b((?:mirrorproof|process)_\w+)(\{[^}]*\})?", expression):
        if name not in known:
            wrong.add(name)
            continue
        labels |= known[name]
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        wrong |= {f"{name}{{{label}}}" for label in asked - known[name]}
    for listed in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression):
        wrong |= {label for label in re.findall(r"\w+", listed) if label not in labels}
    return wrong


ALERTS: Final = alerts()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alerts_ask_for_what_there_is(rule: Any) -> None:
    """Metrics, labels in the expression, and labels that the words show."""
    words = json.dumps([rule["annotations"], rule["labels"]])
    shown = set(re.findall(r"\$labels\.(\w+)", words))

    assert unknown(rule["expr"]) == set()
    assert all(re.search(rf"\b{label}\b", rule["expr"]) for label in shown)


@pytest.mark.parametrize("expression", expressions())
def test_panels_ask_for_what_there_is(expression: str) -> None:
    """Every query of the dashboard."""
    assert unknown(expression) == set()


def test_what_nobody_exposes_is_found() -> None:
    """A wrong metric, a wrong label of a right one, a wrong label to sum by."""
    wrong = 'sum by (pod) (rate(mirrorproof_lines_total{kind="x"}[5m])) / mirrorproof_line_total'

    assert unknown(wrong) == {"pod", "mirrorproof_lines_total{kind}", "mirrorproof_line_total"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alerts_say_what_to_do(rule: Any) -> None:
    """How urgent, what, and where the runbook goes on."""
    notes = rule["annotations"]
    expected = f"#{rule['alert'].lower()}"
    if rule["alert"] == "MirrorproofIncident":
        expected = "#{{ $labels.kind }}"

    assert rule["labels"]["severity"] in ("critical", "warning", "{{ $labels.severity }}")
    assert notes["summary"]
    assert notes["description"]
    assert notes["runbook_url"] == f"deploy/README.md{expected}"


def test_the_runbook_has_every_alert_and_kind() -> None:
    """A heading each, as the link says, and none that there is not."""
    headings = re.findall(r"^#### `?(\w+)`?$", _RUNBOOK.read_text(), re.MULTILINE)

    assert headings == [*(rule["alert"] for rule in ALERTS), *IncidentKind]


def test_every_alert_is_tried_both_ways() -> None:
    """`make test-monitoring` has one case at least that raises it, and one that does not."""
    cases = [
        case
        for test in yaml.safe_load(_CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    raised = {case["alertname"] for case in cases if case.get("exp_alerts")}
    quiet = {case["alertname"] for case in cases if not case.get("exp_alerts")}

    assert raised == quiet == {rule["alert"] for rule in ALERTS}


def test_the_dashboard_is_made_of_its_panels() -> None:
    """`python -m tests.dashboard` makes it."""
    assert DASHBOARD.read_text() == as_text()


def test_no_panel_covers_another() -> None:
    """Within 24 columns, each with a number of its own and words how to read it."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y)
        for one in places
        for x in range(one["x"], one["x"] + one["w"])
        for y in range(one["y"], one["y"] + one["h"])
    ]

    assert len(cells) == len(set(cells))
    assert all(one["x"] + one["w"] <= 24 for one in places)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["description"] for panel in panels if panel["type"] != "row")
