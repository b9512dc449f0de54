"""Renders the chart with Helm itself, and looks into what comes out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, Final

import helm_python
import yaml

from tests.deploy.schema import CHART

Manifest = dict[str, Any]
NAMESPACE: Final = "mirrorproof"
MINIMAL: Final[Manifest] = {
    "kafka": {"bootstrapServers": ["kafka-bootstrap.kafka:9092"], "partitions": 6},
    "database": {"existingSecret": "mirrorproof-database"},
}
"""What has no default."""
WITH_PODS: Final = ("Deployment", "Job", "DaemonSet")


def merged(*layers: Manifest) -> Manifest:
    """Values on top of each other, as Helm's `--values` given several times."""
    found: Manifest = {}
    for layer in layers:
        for name, value in layer.items():
            below = found.get(name)
            both = isinstance(value, dict) and isinstance(below, dict)
            found[name] = merged(below, value) if both else deepcopy(value)  # type: ignore[arg-type]
    return found


def nested(**paths: Any) -> Manifest:
    """`kafka__tls__enabled=True` as the values that it means."""
    found: Manifest = {}
    for path, value in paths.items():
        for name in reversed(path.split("__")):
            value = {name: value}
        found = merged(found, value)
    return found


@cache
def _chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


@cache
def _rendered(values: str) -> list[Manifest]:
    files = _chart().render(json.loads(values), name="proof", namespace=NAMESPACE)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    manifests = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
    return [one for text in manifests for one in yaml.load_all(text, loader) if one]


def render(*layers: Manifest) -> list[Manifest]:
    """The objects that values make, over the minimal ones; each combination is rendered once.

    Raises:
        helm_python.HelmError: The schema or the chart refuses them.
    """
    return _rendered(json.dumps(merged(MINIMAL, *layers), sort_keys=True))


def notes(*layers: Manifest) -> str:
    """What Helm tells who installed it."""
    files = _chart().render(merged(MINIMAL, *layers), name="proof", namespace=NAMESPACE)
    return next(text for name, text in files.items() if name.endswith("NOTES.txt"))


def named(objects: list[Manifest], kind: str, name: str) -> Manifest:
    """One object; its name without the release's."""
    return next(
        one
        for one in objects
        if one["kind"] == kind and one["metadata"]["name"] == f"proof-mirrorproof{name}"
    )


def kinds(objects: list[Manifest]) -> set[str]:
    """Kinds of objects."""
    return {one["kind"] for one in objects}


def pods(objects: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Pod templates by part."""
    for one in objects:
        if one["kind"] in WITH_PODS:
            template = one["spec"]["template"]
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def pod(objects: list[Manifest], part: str) -> Manifest:
    """The pod template of a part."""
    return dict(pods(objects))[part]


def environment(objects: list[Manifest], part: str) -> dict[str, str]:
    """What a part's container finds in its environment; values from elsewhere are empty."""
    container = pod(objects, part)["spec"]["containers"][0]
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        name = source["configMapRef"]["name"]
        config = next(
            o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] == name
        )
        found |= config["data"]
    return found | {one["name"]: one.get("value", "") for one in container["env"]}
