"""Which statements of a migration older programs and busy tables can stand. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_NAME: Final = r'"?(\w+)"?'
_CREATE_TABLE: Final = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{_NAME}", re.I)
_CREATE_INDEX: Final = re.compile(
    rf"CREATE (UNIQUE )?INDEX (CONCURRENTLY )?(?:IF NOT EXISTS )?{_NAME} ON (ONLY )?{_NAME}", re.I
)
_ADD_COLUMN: Final = re.compile(rf"ALTER TABLE {_NAME} ADD (?:COLUMN )?{_NAME} (.*)", re.I | re.S)
_CONSTANT: Final = re.compile(r"DEFAULT\s+\(?('[^']*'|-?\d+(\.\d+)?|NULL)\)?(?!\w)", re.I)
_READS: Final = re.compile(r"\s*(SELECT|PRAGMA|SET|SHOW|COMMENT|BEGIN|COMMIT|ROLLBACK)\b", re.I)
_OWN: Final = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM) (alembic_version|setting)\b", re.I)
"""Alembic's row, and which programs work on the schema."""


class Expansion:
    """Judges the statements of one migration.

    Args:
        on_postgresql: Whether tables are large and writers go on; SQLite has one writer anyway.
    """

    def __init__(self, *, on_postgresql: bool) -> None:
        self._on_postgresql = on_postgresql
        self._own: set[str] = set()

    def complaints(self, statements: Iterable[str]) -> list[str]:
        """What is wrong with them, one line each, in order."""
        found = []
        for statement in statements:
            flat = " ".join(statement.split())
            why = self._complain(flat)
            if why:
                found.append(f"{flat[:80]}: {why}")
        return found

    def _complain(self, statement: str) -> str:
        if _READS.match(statement) or _OWN.match(statement):
            return ""
        if created := _CREATE_TABLE.match(statement):
            self._own.add(created[1])
            return ""
        if index := _CREATE_INDEX.match(statement):
            return self._index(unique=bool(index[1]), free=bool(index[2] or index[4]), of=index[5])
        if column := _ADD_COLUMN.match(statement):
            return _column(column[3])
        named = re.match(rf"(?:ALTER TABLE|INSERT INTO|DROP INDEX) {_NAME}", statement, re.I)
        if named and named[1] in self._own:
            return ""
        return "takes something away, or changes rows: expand first, contract in a later release"

    def _index(self, *, unique: bool, free: bool, of: str) -> str:
        if of in self._own:
            return ""
        if unique:
            return "refuses rows that older programs may write"
        blocks = self._on_postgresql and not free
        return "locks writers out while it is built: make it CONCURRENTLY" if blocks else ""


def _column(definition: str) -> str:
    has_default = re.search(r"\bDEFAULT\b", definition, re.I)
    if has_default and not _CONSTANT.search(definition):
        return "a default that is computed writes the whole table anew"
    if re.search(r"\bNOT NULL\b", definition, re.I) and not has_default:
        return "older programs write no such column: give it a default, or let it be null"
    if re.search(r"\b(UNIQUE|REFERENCES|CHECK|PRIMARY KEY)\b", definition, re.I):
        return "a constraint that older programs do not know"
    return ""
