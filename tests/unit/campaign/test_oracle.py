"""The oracle of the kill campaign complains about every way in which a database can be wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.campaign.ledger import Ledger
from tests.campaign.lines import Kind, Line
from tests.campaign.oracle import Verdict, compare, main
from tests.campaign.store import Store

TOPIC = "logs"
TABLES = """
CREATE TABLE position (topic, partition INTEGER, next_offset INTEGER, owner, state);
CREATE TABLE batch (id INTEGER, topic, partition INTEGER, from_offset INTEGER, to_offset INTEGER,
  records INTEGER, read INTEGER, stored INTEGER, ignored INTEGER, quarantined INTEGER);
CREATE TABLE observation (batch_id INTEGER, record_offset INTEGER, item INTEGER, request_id TEXT,
  bytes_sent INTEGER);
CREATE TABLE quarantine (topic, partition INTEGER, record_offset INTEGER, item INTEGER);
"""
# Partition 0: offset 0 is stored; 1 holds a stored, an ignored and a poisoned line; 2 is stored.
# Partition 1: one line that is ignored.
ROWS = """
INSERT INTO position VALUES ('logs', 0, 3, 'a1', 'running'), ('logs', 1, 1, 'a1', 'running');
INSERT INTO batch VALUES
  (7, 'logs', 0, 0, 2, 2, 4, 2, 1, 1),
  (8, 'logs', 0, 2, 3, 1, 1, 1, 0, 0),
  (9, 'logs', 1, 0, 1, 1, 1, 0, 1, 0);
INSERT INTO observation VALUES (7, 0, 0, 'r', 1), (7, 1, 0, 'r', 2), (8, 2, 0, 's', 3);
INSERT INTO quarantine VALUES ('logs', 0, 1, 2);
"""


def _stored(identity: str) -> Line:
    return Line(Kind.STORED, identity)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The ledger of what `ROWS` holds."""
    path = tmp_path / "ledger.db"
    with Ledger(path) as file:
        mixed = (_stored("r 2"), Line(Kind.IGNORED), Line(Kind.QUARANTINED))
        file.add([(0, 0, (_stored("r 1"),)), (0, 1, mixed), (0, 2, (_stored("s 3"),))])
        file.add([(1, 0, (Line(Kind.IGNORED),))])
    return path


def _database(folder: Path, mutation: str = "") -> Store:
    path = folder / "mirrorproof.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES + ROWS + mutation)
    return Store(f"sqlite:///{path}")


def _verdict(ledger: Path, mutation: str = "") -> Verdict:
    with Ledger(ledger) as file:
        return compare(file, _database(ledger.parent, mutation), TOPIC)


def test_a_right_database_passes(ledger: Path) -> None:
    """Where every line is once and every offset is covered, the oracle has nothing to say."""
    verdict = _verdict(ledger)

    assert verdict.is_right, verdict.examples
    assert verdict.lines == {Kind.STORED: 3, Kind.IGNORED: 2, Kind.QUARANTINED: 1}


@pytest.mark.parametrize(
    ("mutation", "lost", "doubled", "foreign", "cover", "counts"),
    [
        pytest.param("DELETE FROM observation WHERE bytes_sent = 2", 1, 0, 0, 0, 0, id="deleted"),
        pytest.param(
            "INSERT INTO observation SELECT * FROM observation WHERE bytes_sent = 3",
            *(0, 1, 0, 0, 0),
            id="doubled",
        ),
        pytest.param(
            "UPDATE observation SET record_offset = 1 WHERE bytes_sent = 1",
            *(1, 0, 1, 0, 0),
            id="moved to another offset",
        ),
        pytest.param(
            "UPDATE observation SET item = 1 WHERE bytes_sent = 2",
            *(1, 0, 1, 0, 0),
            id="stored in place of an ignored line",
        ),
        pytest.param(
            "UPDATE observation SET batch_id = 8 WHERE bytes_sent = 1",
            *(0, 0, 0, 1, 0),
            id="of another batch",
        ),
        pytest.param(
            "UPDATE observation SET batch_id = 99 WHERE bytes_sent = 1",
            *(1, 0, 1, 0, 0),
            id="of no batch",
        ),
        pytest.param(
            "INSERT INTO observation VALUES (8, 2, 1, 'x', 9)", 0, 0, 1, 0, 0, id="never produced"
        ),
        pytest.param("DELETE FROM quarantine", 1, 0, 0, 0, 0, id="poison lost"),
        pytest.param(
            "INSERT INTO quarantine VALUES ('logs', 0, 1, 2)", 0, 1, 0, 0, 0, id="poison doubled"
        ),
        pytest.param(
            "INSERT INTO quarantine VALUES ('logs', 0, 0, 0)",
            *(0, 0, 1, 0, 0),
            id="a good line in quarantine",
        ),
        pytest.param(
            "UPDATE position SET next_offset = 2 WHERE partition = 0",
            *(0, 0, 0, 1, 0),
            id="position behind",
        ),
        pytest.param("DELETE FROM position WHERE partition = 1", 0, 0, 0, 1, 0, id="no position"),
        pytest.param(
            "UPDATE position SET state = 'stopped' WHERE partition = 1",
            *(0, 0, 0, 1, 0),
            id="stopped",
        ),
        pytest.param("DELETE FROM batch WHERE id = 9", 0, 0, 0, 1, 0, id="batch row lost"),
        pytest.param(
            "INSERT INTO batch SELECT * FROM batch WHERE id = 9",
            *(0, 0, 0, 1, 0),
            id="batch row doubled",
        ),
        pytest.param(
            "UPDATE batch SET stored = 1, ignored = 2 WHERE id = 7",
            *(0, 0, 0, 0, 1),
            id="counted wrongly",
        ),
    ],
)
def test_a_wrong_database_is_found(
    ledger: Path, mutation: str, lost: int, doubled: int, foreign: int, cover: int, counts: int
) -> None:
    """One deleted, doubled, moved or miscounted row is named for what it is."""
    found = _verdict(ledger, mutation)

    kinds = (found.lost, found.doubled, found.foreign, found.cover, found.counts)
    assert kinds == (lost, doubled, foreign, cover, counts), found.examples
    assert not found.is_right
    assert len(found.examples) == sum(kinds)


def test_the_program_exits_by_what_it_found(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a campaign left behind can be looked at again: 0 right, 1 wrong, 2 wrong usage."""
    store = _database(ledger.parent)
    arguments = [str(ledger), f"sqlite:///{store.file}"]

    assert main(arguments) == 0
    store.execute("DELETE FROM observation WHERE bytes_sent = 2")
    assert main(arguments) == 1
    assert "lost: partition 0: (1, 0) r 2" in capsys.readouterr().out
    assert main([str(ledger)]) == 2
