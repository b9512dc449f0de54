"""Writes the README's tables, and the settings in the chart's schema: `python -m tests.docs`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from collector.metrics import SPECS as METRICS
from collector.settings import PREFIX, Settings
from collector.settings.alerts import EndpointSettings
from tests.deploy.schema import SCHEMA, with_generated
from verifier.incidents.kinds import SPECS, KindSpec

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- settings: made by `python -m tests.docs`, checked by tests/unit/test_docs.py -->\n"
END = "<!-- end of settings -->"
BEGIN_ENDPOINTS = "<!-- settings of endpoints: made by `python -m tests.docs` -->\n"
END_ENDPOINTS = "<!-- end of settings of endpoints -->"
KINDS_BEGIN = "<!-- kinds: made by `python -m tests.docs`, checked by test_kinds.py -->\n"
KINDS_END = "<!-- end of kinds -->"
METRICS_BEGIN = "<!-- metrics: made by `python -m tests.docs`, checked by test_metrics.py -->\n"
METRICS_END = "<!-- end of metrics -->"


def _default(field: FieldInfo) -> str:
    if field.is_required() or field.default is None or field.default in ("", ()):
        return ""
    value = field.default
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


def settings_table() -> str:
    """All settings: variable, default, meaning."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for section, outer in Settings.model_fields.items():
        model = outer.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for name, field in model.model_fields.items():
            variable = f"{PREFIX}{section.upper()}__{name.upper()}"
            rows.append(f"| `{variable}` | {_default(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def endpoints_table() -> str:
    """The settings of an endpoint: name, default, meaning."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    rows += [
        f"| `{name}` | {_default(field)} | {field.description} |"
        for name, field in EndpointSettings.model_fields.items()
    ]
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    """The README's text with the tables of today."""
    text = _between(text, BEGIN, settings_table(), END)
    return _between(text, BEGIN_ENDPOINTS, endpoints_table(), END_ENDPOINTS)


def _between(text: str, begin: str, table: str, end: str) -> str:
    head, rest = text.split(begin)
    return head + begin + table + end + rest.partition(end)[2]


def kinds_table() -> str:
    """All kinds of incidents with their defaults."""
    rows = [
        "| kind | opens when | beyond | lasting | severity |",
        "|---|---|---|---|---|",
        *(_kind_row(spec) for spec in SPECS.values()),
    ]
    return "\n".join(rows) + "\n"


def _kind_row(spec: KindSpec) -> str:
    beyond = "" if spec.threshold is None else f"{100 * spec.threshold:g} % of {spec.base}"
    lasting = f"{spec.for_us // 1_000_000} s" if spec.for_us else ""
    critical = spec.critical_share
    severity = spec.severity.value
    if critical is not None:
        severity += f", critical from {100 * critical:g} %"
    return f"| `{spec.kind}` | {spec.meaning} | {beyond} | {lasting} | {severity} |"


def with_kinds(text: str) -> str:
    """The README's text with the table of kinds of today."""
    return _between(text, KINDS_BEGIN, kinds_table(), KINDS_END)


def metrics_table() -> str:
    """All metrics: name, kind, labels, who has it, meaning."""
    rows = ["| metric | kind | labels | of | tells |", "|---|---|---|---|---|"]
    for spec in METRICS:
        labels = ", ".join(f"`{label}`" for label in spec.labels)
        rows.append(f"| `{spec.full_name}` | {spec.kind} | {labels} | {spec.place} | {spec.help} |")
    return "\n".join(rows) + "\n"


def with_metrics(text: str) -> str:
    """The README's text with the table of metrics of today."""
    return _between(text, METRICS_BEGIN, metrics_table(), METRICS_END)


if __name__ == "__main__":
    README.write_text(with_metrics(with_kinds(with_table(README.read_text()))))
    SCHEMA.write_text(with_generated(SCHEMA.read_text()))
