"""What lines show besides themselves, in both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select

from collector.batch import SIGN_US, Batch, Wild
from collector.db.engine import reading, writing
from collector.db.sign_tables import node_sign, wild_clock
from collector.db.signs import SIGNS, SPAN_US, Signs, forget, heard_in
from collector.sources.protocol import Partition

pytestmark = pytest.mark.integration
NODE = ("east", "node-a")
FIRST = 1_000 * SIGNS
"""Number of the first stretch of a row."""


def batch(*heard: int, wild: Wild | None = None) -> Batch:
    """A batch in which the node was heard in some stretches."""
    found = Batch(Partition("logs", 0), 0, 1)
    found.signs = {NODE: set(heard)}
    found.wild = {} if wild is None else {("east", "weather", "forecast-v1"): wild}
    return found


def write(engine: Engine, signs: Signs, one: Batch) -> None:
    """In a transaction of its own."""
    with writing(engine) as connection:
        news = signs.write(connection, [one])
    signs.wrote(news)


def heard(engine: Engine) -> list[int]:
    """The stretches that are stored."""
    with reading(engine) as connection:
        rows = connection.execute(select(node_sign).order_by(node_sign.c.span_us)).all()
    return [number for row in rows for number in heard_in(row.span_us, row.heard)]


def test_signs_of_several_collectors_add_up(engine: Engine) -> None:
    """Each adds its bits; the first and the last of a row are there, too."""
    one, other = Signs(), Signs()
    write(engine, one, batch(FIRST, FIRST + 3))
    write(engine, other, batch(FIRST + 1, FIRST + SIGNS - 1, FIRST + SIGNS))
    write(engine, one, batch(FIRST, FIRST + 4))

    assert heard(engine) == [
        FIRST, FIRST + 1, FIRST + 3, FIRST + 4, FIRST + SIGNS - 1, FIRST + SIGNS,
    ]  # fmt: skip


def test_wild_clocks_are_counted_by_hour(engine: Engine) -> None:
    """From the first to the last, with how far off the last one was."""
    signs = Signs()
    write(engine, signs, batch(wild=Wild(2, 10, 20, 70_000_000)))
    write(engine, signs, batch(wild=Wild(1, 5, 15, 80_000_000)))

    with reading(engine) as connection:
        (row,) = connection.execute(select(wild_clock)).all()
    assert (row.first_us, row.last_us, row.lines, row.off_us) == (5, 20, 3, 80_000_000)


def test_old_signs_are_forgotten(engine: Engine) -> None:
    """With the lines that they are asked about."""
    write(engine, Signs(), batch(FIRST, FIRST + SIGNS))

    with writing(engine) as connection:
        forget(connection, 0, FIRST * SIGN_US + SPAN_US)

    assert heard(engine) == [FIRST + SIGNS]
