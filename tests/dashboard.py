"""Writes Grafana's dashboard from `deploy/monitoring/panels.yaml`: `python -m tests.dashboard`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

_DEPLOY: Final = Path(__file__).parent.parent / "deploy"
PANELS: Final = _DEPLOY / "monitoring" / "panels.yaml"
DASHBOARD: Final = _DEPLOY / "chart" / "files" / "dashboard.json"
_SCHEMA: Final = 39  # of Grafana 10.4 and later, which bring older ones up by themselves
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
_POLICIES: Final = "mirrorproof_settled_lag_seconds"  # has a series for each policy


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        help: How to read it.
        queries: PromQL by legend.
        unit: Grafana's name of the unit.
        kind: Grafana's name of the picture.
        width: Of 24 columns.
        red: From which value on it is bad; None: never.
        falling: Bad is what is smaller.
    """

    title: str
    help: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    red: float | None = None
    falling: bool = False


def rows() -> dict[str, list[Panel]]:
    """The panels by the titles of their rows."""
    found = yaml.safe_load(PANELS.read_text())
    return {row: [Panel(**one) for one in panels] for row, panels in found.items()}


def expressions() -> list[str]:
    """All queries, as they stand there."""
    return [query for panels in rows().values() for one in panels for query in one.queries.values()]


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    placed, y, number = [], 0, 0
    for row, panels in rows().items():
        number += 1
        placed.append(_row(row, number, y))
        x, y = 0, y + 1
        high = 0
        for panel in panels:
            height = 4 if panel.kind == "stat" else 8
            if x + panel.width > _COLUMNS:
                x, y, high = 0, y + high, 0
            number += 1
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            placed.append(_panel(panel, number, place))
            x, high = x + panel.width, max(high, height)
        y += high
    return _frame(placed)


def _frame(panels: list[dict[str, Any]]) -> dict[str, Any]:
    source = {
        "name": "datasource",
        "type": "datasource",
        "query": "prometheus",
        "label": "Prometheus",
    }
    policy = {
        "name": "policy", "type": "query", "label": "Policy", "datasource": _SOURCE,
        "query": {"query": f"label_values({_POLICIES}, policy)", "refId": "policy"},
        "includeAll": True, "allValue": ".*", "multi": True, "refresh": 2, "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]},
    }  # fmt: skip
    return {
        "uid": "mirrorproof",
        "title": "mirrorproof",
        "description": "Whether mirrored traffic is really mirrored, and how mirrorproof is.",
        "tags": ["mirrorproof", "istio"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": [source, policy]},
        "annotations": {"list": []},
        "panels": panels,
    }


def _row(title: str, number: int, y: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": title,
        "gridPos": place,
        "collapsed": False,
        "panels": [],
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + n),
            "datasource": _SOURCE,
            "expr": query,
            "legendFormat": legend,
        }
        for n, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red is not None and panel.falling:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.red}]
    elif panel.red is not None:
        steps.append({"color": "red", "value": panel.red})
    found = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.unit == "percentunit":
        found |= {"max": 1, "decimals": 3}
    if panel.kind == "timeseries":
        style = "line" if panel.red is not None else "off"
        found["custom"] = {
            "fillOpacity": 10,
            "showPoints": "never",
            "thresholdsStyle": {"mode": style},
        }
    return found


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        calculated = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {
            "reduceOptions": calculated,
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "auto",
            "justifyMode": "auto",
            "orientation": "auto",
            "wideLayout": True,
            "showPercentChange": False,
            "percentChangeColorMode": "standard",
        }
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def as_text() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DASHBOARD.write_text(as_text())
