"""The runbook says what bounds each table of the database: none grows for years unnoticed."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from collector.db.tables import metadata
from collector.settings.retention import RetentionSettings
from tests.docs import README

ROOT = README.parent
RUNBOOK = (ROOT / "deploy" / "README.md").read_text()
TABLE = RUNBOOK[RUNBOOK.index("| table | what bounds it |") :].split("\n\n")[0]


def _all_tables() -> set[str]:
    """Of every module that makes one: that which nobody thought of, too."""
    for folder in ("collector", "verifier"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if " = Table(" in path.read_text() and "metadata," in path.read_text():
                import_module(str(Path(path).relative_to(ROOT).with_suffix("")).replace("/", "."))
    return set(metadata.tables)


def test_the_runbook_bounds_every_table() -> None:
    """A new table has to say why it does not grow for ever."""
    told = [
        name for row in TABLE.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]

    assert len(told) == len(set(told))
    assert set(told) == _all_tables()


def test_the_settings_that_bound_tables_are_there() -> None:
    """By their names."""
    named = set(re.findall(r"`retention\.(\w+)`", TABLE))

    assert named <= set(RetentionSettings.model_fields)
    assert len(named) > 5
