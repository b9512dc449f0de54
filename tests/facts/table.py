"""The table of F1 to F36 in README.md, as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    verdicts: tuple[str, ...]
    reasons: tuple[str, ...]
    tests: tuple[str, ...]


def rows() -> list[Row]:
    """The table's rows, in order."""
    lines = Path(__file__).with_name("README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "| F" in line]
    return [
        Row(
            name,
            tuple(said.split(", ")),
            tuple(filter(None, why.split("; "))),
            tuple(t.split(", ")),
        )
        for name, _, said, why, t in cells
    ]
