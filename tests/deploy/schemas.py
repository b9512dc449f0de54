"""Checks objects against the schemas of Kubernetes, and of the custom resources used here.

The first are those of the package kubernetes-validate, strict: unknown fields are refused. Its own
`validate` reads two megabytes for each object, so the validators are made here, once for each kind.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import kubernetes_validate
import yaml

OLDEST: Final = "1.30"
"""What Chart.yaml asks for, at least."""
NEWEST: Final = "1.37"
_FOLDER: Final = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
_DEFINITIONS: Final = "https://kubernetes.io/api/_definitions.json"
_OURS: Final = yaml.safe_load((Path(__file__).parent / "crds.yaml").read_text())


def problems(manifest: dict[str, Any], version: str = NEWEST) -> list[str]:
    """What is wrong with an object; each names its place. Empty: nothing.

    Args:
        manifest: The object.
        version: Of Kubernetes, `MAJOR.MINOR`.

    Raises:
        FileNotFoundError: No schema is known of its kind.
    """
    return list(_problems(json.dumps(manifest, sort_keys=True), version))


@cache  # most objects are the same for most values
def _problems(text: str, version: str) -> tuple[str, ...]:
    manifest = json.loads(text)
    checked = _validator(manifest["apiVersion"], manifest["kind"], version)
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    return tuple(
        f"{name}: {'.'.join(str(part) for part in error.instance_path)}: {error.message}"
        for error in checked.iter_errors(manifest)
    )


@cache
def _validator(api_version: str, kind: str, version: str) -> Any:
    ours = _OURS["kinds"].get(f"{api_version} {kind}")
    if ours is not None:
        return jsonschema_rs.validator_for(_custom(ours))
    # rbac.authorization.k8s.io/v1 is rbac-v1 there.
    short = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    file = _folder(version) / f"{kind.lower()}-{short}.json"
    return jsonschema_rs.validator_for(json.loads(file.read_text()), registry=_registry(version))


def _custom(spec: dict[str, Any]) -> dict[str, Any]:
    """A custom resource's schema: the usual head, and the given rest."""
    head = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": "#/$defs/metadata"},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": head | {"spec": spec},
        "$defs": _OURS["$defs"],
    }


@cache
def _registry(version: str) -> Any:
    definitions = json.loads((_folder(version) / "_definitions.json").read_text())
    return jsonschema_rs.Registry([(_DEFINITIONS, definitions)])


def _folder(version: str) -> Path:
    return _FOLDER / f"v{version}.0-local-strict"
