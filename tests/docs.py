"""Writes the README's settings table from the code: `python -m tests.docs`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from collector.settings import PREFIX, Settings

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- settings: made by `python -m tests.docs`, checked by tests/unit/test_docs.py -->\n"
END = "<!-- end of settings -->"


def _default(field: FieldInfo) -> str:
    if field.default is None or field.default in ("", ()):
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


def with_table(text: str) -> str:
    """The README's text with the table of today."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + settings_table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
