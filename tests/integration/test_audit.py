"""The chain of windows: what was changed afterwards is found, and named."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Table, delete, insert, select, update

from collector.db.engine import writing
from collector.db.tables import policy_version
from tests.settling import NOW, SECOND, World, emptied, make_policy, request, written
from verifier.settle.audit import Chain, follow, policies
from verifier.tables import chain_head, finding, settled_window

pytestmark = pytest.mark.integration
UNSAID = {
    "settled_window": {"id"},
    "finding": {"id"},
    "chain_head": set(),
    "policy_version": {
        "id",
        "name",
        "valid_to_us",
        "recorded_us",
        "acknowledged_us",
        "stored_from_us",
    },
}
"""Columns that mean nothing, are edited later, or are nobody's evidence."""
TAMPERINGS = {"sqlite": 1000, "postgresql": 60}


@pytest.fixture
def settled(engine: Engine) -> Engine:
    """A database with a history: windows with and without findings, revisions, two versions."""
    world = World(emptied(engine))
    world.declare(make_policy(("v1", 100.0)))
    late = request(1, NOW + 3 * SECOND)[2:]
    world.write([*request(0, NOW), *request(1, NOW + 3 * SECOND)[:2]])
    for number in range(2, 8):
        world.write(request(number, NOW + number * 9 * SECOND)[: 2 + number % 2])
    world.settle_all()
    world.write(late)
    world.settle_all()
    world.declare(make_policy(("v1", 50.0)))
    world.write(request(8, world.now_us + 60 * SECOND))
    world.settle_all(after_s=240)
    return engine


def audit(connection: Connection) -> dict[str, Chain]:
    """Every chain by its policy."""
    return {policy: follow(connection, policy) for policy in policies(connection)}


def test_what_was_written_fits(settled: Engine) -> None:
    """All rows fit, the first rests on nothing, the last is the head."""
    rows = written(settled, settled_window)

    with settled.connect() as connection:
        (chain,) = audit(connection).values()

    assert chain.broken is None
    assert (chain.rows, chain.anchor) == (len(rows), b"")
    assert chain.head == rows[-1]["digest"]
    assert max(row["revision"] for row in rows) > 1


def test_the_first_row_that_does_not_fit_is_named(settled: Engine) -> None:
    """A verdict that is changed breaks the chain where it stands."""
    rows = written(settled, settled_window)
    with writing(settled) as connection:
        connection.execute(
            update(settled_window)
            .where(settled_window.c.id == rows[2]["id"])
            .values(missing=settled_window.c.missing + 1)
        )
        (chain,) = audit(connection).values()

    assert chain.rows == 2
    assert chain.broken is not None
    assert chain.broken.window_start_us == rows[2]["start_us"]
    assert chain.broken.revision == rows[2]["revision"]
    assert chain.broken.why == "it, its findings or its policy version were changed"


@pytest.mark.parametrize(("row", "where"), [(0, "before it"), (-1, "at the end of the chain")])
def test_rows_cut_off_are_missed(row: int, where: str, settled: Engine) -> None:
    """The ends of the chain are known apart from its rows."""
    cut = written(settled, settled_window)[row]
    with writing(settled) as connection:
        connection.execute(delete(settled_window).where(settled_window.c.id == cut["id"]))
        (chain,) = audit(connection).values()

    assert chain.broken is not None
    assert chain.broken.why == f"rows {where} are missing, or were put in"


def other(value: Any, dice: random.Random) -> Any:
    """Another value of the same kind."""
    if value is None:
        return 1
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + dice.choice((-1, 1))
    if isinstance(value, bytes):
        at = dice.randrange(len(value)) if value else 0
        return value[:at] + bytes([(value[at] if value else 0) ^ 1]) + value[at + 1 :]
    at = dice.randrange(len(value) + 1)
    return value[:at] + "~" + value[at:]


def tamper(connection: Connection, table: Table, dice: random.Random) -> str:
    """Changes, takes out or puts in one row; says what was done."""
    rows = [dict(row._mapping) for row in connection.execute(select(table))]
    row = dice.choice(rows)
    where = [column == row[column.name] for column in table.primary_key]
    kind = dice.choice(("change", "change", "change", "take out", "put in"))
    if kind == "take out":
        connection.execute(delete(table).where(*where))
        return f"took out {table.name} {row}"
    if kind == "put in" and table.name in ("settled_window", "finding"):
        added = {name: value for name, value in row.items() if name != "id"}
        if table is settled_window:
            added["start_us"] += dice.choice((1, -1)) * 3600 * SECOND
        connection.execute(insert(table).values(**added))
        return f"put in {table.name} {added}"
    name = dice.choice([c.name for c in table.columns if c.name not in UNSAID[table.name]])
    value = other(row[name], dice)
    connection.execute(update(table).where(*where).values({name: value}))
    return f"changed {name} of {table.name} {row}"


def test_no_tampering_is_unseen(settled: Engine) -> None:
    """Rows that are changed, taken out or put in at random: each is found."""
    tables = (settled_window, settled_window, finding, policy_version, chain_head)
    for seed in range(TAMPERINGS[settled.dialect.name]):
        dice = random.Random(seed)
        with settled.connect() as connection:
            done = tamper(connection, dice.choice(tables), dice)
            found = audit(connection)
            connection.rollback()
        assert any(chain.broken for chain in found.values()), done


def _reorder(connection: Connection, numbers: list[int], at: int) -> None:
    """Two rows change places in the chain."""
    c = settled_window.c
    for old, new in ((numbers[at], -1), (numbers[at + 1], numbers[at]), (-1, numbers[at + 1])):
        connection.execute(update(settled_window).where(c.id == old).values(id=new))


def _truncate(connection: Connection, numbers: list[int], at: int) -> None:
    """The rest of the chain is cut off."""
    connection.execute(delete(settled_window).where(settled_window.c.id >= numbers[at]))


def _take_out(connection: Connection, numbers: list[int], at: int) -> None:
    """One row goes."""
    connection.execute(delete(settled_window).where(settled_window.c.id == numbers[at]))


@pytest.mark.parametrize("change", [_reorder, _truncate, _take_out])
def test_wherever_the_chain_is_changed_the_rows_before_fit(change: Any, settled: Engine) -> None:
    """The first row that does not fit is the one where it was done, or that it superseded."""
    rows = written(settled, settled_window)
    numbers = [row["id"] for row in rows]
    for at in range(1, len(numbers) - 1):
        with settled.connect() as connection:
            change(connection, numbers, at)
            (chain,) = audit(connection).values()
            connection.rollback()
        starts = {row["start_us"] for row in rows[at:] if row["revision"] > 1}
        superseded = [n for n, row in enumerate(rows) if row["start_us"] in starts]
        assert chain.broken is not None
        assert min([at, *superseded]) <= chain.rows <= at
