"""The judge of migrations lets pass what expands, and nothing else."""

from __future__ import annotations

import pytest

from tests.expanding import Expansion

GOOD = [
    "CREATE TABLE visit (id INTEGER NOT NULL); CREATE UNIQUE INDEX x",
    "ALTER TABLE batch ADD COLUMN pieces INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE batch ADD COLUMN note TEXT",
    "ALTER TABLE batch ADD COLUMN note TEXT DEFAULT '' NOT NULL",
    "CREATE INDEX CONCURRENTLY ix ON batch (note)",
    "CREATE INDEX ix ON ONLY observation USING brin (start_us)",
    "UPDATE alembic_version SET version_num='0020' WHERE alembic_version.version_num = '0019'",
]
BAD = [
    "ALTER TABLE batch DROP COLUMN pieces",
    "ALTER TABLE batch RENAME COLUMN pieces TO parts",
    "ALTER TABLE batch RENAME TO portion",
    "ALTER TABLE batch ALTER COLUMN pieces SET NOT NULL",
    "ALTER TABLE batch ALTER COLUMN pieces TYPE BIGINT",
    "ALTER TABLE batch ADD COLUMN pieces INTEGER NOT NULL",
    "ALTER TABLE batch ADD COLUMN at TIMESTAMP DEFAULT now() NOT NULL",
    "ALTER TABLE batch ADD COLUMN pieces INTEGER DEFAULT 0 CHECK (pieces > 0)",
    "ALTER TABLE batch ADD CONSTRAINT uq UNIQUE (topic)",
    "CREATE INDEX ix ON batch (note)",
    "CREATE UNIQUE INDEX CONCURRENTLY ix ON batch (note)",
    "DROP TABLE batch",
    "DROP INDEX ix",
    "UPDATE batch SET pieces = 0",
    "DELETE FROM batch",
    "INSERT INTO batch SELECT * FROM other",
]


@pytest.mark.parametrize("statement", GOOD)
def test_what_expands_passes(statement: str) -> None:
    """New tables, columns that may lack, and indexes that are built beside writers."""
    assert Expansion(on_postgresql=True).complaints([statement]) == []


@pytest.mark.parametrize("statement", BAD)
def test_what_older_programs_or_busy_tables_cannot_stand_does_not(statement: str) -> None:
    """Each is named with what is wrong about it."""
    (complaint,) = Expansion(on_postgresql=True).complaints([statement])

    assert complaint.startswith(statement[:80])


def test_a_table_of_the_migration_itself_is_nobody_elses() -> None:
    """It may get any index and rows: no program knows it yet."""
    done = [
        "CREATE TABLE visit (id INTEGER NOT NULL)",
        "CREATE UNIQUE INDEX ux ON visit (id)",
        "INSERT INTO visit VALUES (1)",
    ]

    assert Expansion(on_postgresql=True).complaints(done) == []
