"""The part of the chart's schema that comes from the code: settings, and endpoints of alerts.

`python -m tests.docs` writes it into `values.schema.json`, whose rest is written by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from collector.settings import Settings
from collector.settings.alerts import EndpointSettings
from collector.settings.environment import known_settings

CHART: Final = Path(__file__).parents[2] / "deploy" / "chart"
SCHEMA: Final = CHART / "values.schema.json"
OF_THE_CHART: Final = frozenset(
    {
        *("kafka.bootstrap_servers", "kafka.topics", "kafka.group", "kafka.partitions"),
        *("kafka.security_protocol", "kafka.sasl_mechanism", "kafka.username", "kafka.password"),
        *("kafka.password_file", "kafka.ca_file", "kafka.cert_file", "kafka.key_file"),
        *("database.url", "database.url_file", "collector.owner", "collector.health_listen"),
        *("collector.access_log_format_file", "verifier.health_listen", "api.listen"),
        *("alerts.endpoints", "alerts.key", "alerts.key_file", "log.format"),
        *("cluster.enabled", "cluster.namespaces", "cluster.kubeconfig", "cluster.context"),
    }
)
"""Settings that the chart makes of values of its own, or that are each pod's."""
_KEYS: Final = {
    "url_file": ("url_key", "Key of alerts.existingSecret with its address."),
    "secret_file": ("secret_key", "Key of alerts.existingSecret with its secret."),
    "authorization_file": (
        "authorization_key",
        "Key of alerts.existingSecret with the value of the header Authorization.",
    ),
    "ca_file": ("ca_key", "Key of alerts.existingSecret with the authorities, PEM."),
}
_KEPT: Final = (
    *("type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("anyOf", "items", "const"),
)


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """A field as Helm's draft 7 has it: its form, and what it means."""
    kept = {name: value for name, value in field.items() if name in _KEPT}
    choices = [one for one in kept.get("anyOf", []) if one != {"type": "null"}]
    if len(choices) == 1:
        kept.pop("anyOf")
        kept |= _plain(choices[0])
    if kept.get("type") == "array":
        kept["items"] = {"type": "string"}
    if "description" in field:
        kept["description"] = field["description"]
    return kept


def _fields(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return found


def settings_schema() -> dict[str, Any]:
    """Of `settings`: sections of the settings that the chart leaves to the user."""
    free = {info.name for info in known_settings()} - OF_THE_CHART
    sections = {}
    for section, outer in Settings.model_fields.items():
        model = outer.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        names = [name for name in model.model_fields if f"{section}.{name}" in free]
        fields = _fields(model)
        sections[section] = {
            "type": "object",
            "additionalProperties": False,
            "description": (model.__doc__ or "").splitlines()[0],
            "properties": {name: _plain(fields[name]) for name in names},
        }
    return {
        "type": "object",
        "additionalProperties": False,
        "description": "Settings of the program, by its own names, that no other value here makes: "
        "verifier.window_s is MIRRORPROOF_VERIFIER__WINDOW_S.",
        "properties": sections,
    }


def endpoint_schema() -> dict[str, Any]:
    """Of one of `alerts.endpoints`; what is secret is named by its key in a Secret."""
    fields: dict[str, Any] = {}
    for name, field in _fields(EndpointSettings).items():
        if name in ("secret", "authorization"):
            continue
        if name in _KEYS:
            key, words = _KEYS[name]
            fields[key] = {"type": "string", "minLength": 1, "description": words}
        else:
            fields[name] = _plain(field)
    fields["url"]["description"] = (
        "Where it is, if that is no secret, as of an Alertmanager in the cluster; else url_key. "
        "Several separated by blanks are one endpoint each."
    )
    fields["form"]["description"] = "What it understands."
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "form"],
        "description": "A receiver of alerts, with the settings of an endpoint.",
        "properties": fields,
    }


def with_generated(text: str) -> str:
    """The schema's text with the part of today."""
    schema = json.loads(text)
    schema["properties"]["settings"] = settings_schema()
    schema["definitions"]["endpoint"] = endpoint_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
