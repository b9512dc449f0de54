"""Drops pods, hosts and destinations that no line names any more.

Collectors keep their numbers for half a day and note when they learned them, so a row that was
seen last more than that before the oldest line is named by none. That no line is written with a
number that goes at this moment is seen to by an edition, which changes with each portion that is
dropped: whoever writes lines holds it, and begins anew where it is not the one of his numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, Engine, Select, Table, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from collector.db.engine import writing
from collector.db.retention import ROWS_AT_ONCE, Rest
from collector.db.tables import destination, host, pod, setting

SEEN_STEP_US: Final = 12 * 3_600_000_000
"""Lines are written with a number until so long after it was noted as seen, at most."""
_MARGIN_US: Final = 24 * 3_600_000_000
"""Clocks of collectors differ by less."""
_DAY_US: Final = 24 * 3_600_000_000
_EDITION: Final = "numbers"
_LOCK_KEY: Final = 6_013_742_284
_PATIENCE: Final = "200ms"
"""So long at most, and once a minute, those who write lines wait for us to wait for others."""
_NOT_NOW: Final = ("55P03", "40P01")


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """A table of numbers whose rows go when no line names them any more.

    Attributes:
        table: It has the columns `id` and `seen_us`.
        kept_by: Columns with numbers that must stay, too.
        along: Columns of tables whose rows go with their number.
    """

    table: Table
    kept_by: Sequence[Column[int]] = ()
    along: Sequence[Column[int]] = ()


def numbers(kept_by: Sequence[Column[int]] = (), along: Sequence[Column[int]] = ()) -> list[Unseen]:
    """The tables of numbers; what refers to pods besides lines is said by those who write it."""
    return [
        Unseen(table=pod, kept_by=kept_by, along=along),
        Unseen(table=host),
        Unseen(table=destination),
    ]


def edition(connection: Connection) -> str:
    """Changes whenever numbers were dropped; a number may stand for something else then."""
    return connection.scalar(select(setting.c.value).where(setting.c.key == _EDITION)) or ""


def hold_numbers(connection: Connection) -> str:
    """The edition, which stays until the transaction ends, and with it all numbers of it."""
    if connection.dialect.name == "postgresql":
        # Before the edition is read, in a statement of its own: each has its snapshot.
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _LOCK_KEY})
    return edition(connection)


def unseen_before_us(now_us: int, lines_us: int, oldest_line_us: int) -> int:
    """What was seen last before then is named by no line, µs; whole days, so that it is rare.

    Args:
        now_us: Wall clock.
        lines_us: How long lines are kept; 0: for ever.
        oldest_line_us: No line was written before.
    """
    if not lines_us:
        return 0
    before_us = min(now_us - lines_us, oldest_line_us) - SEEN_STEP_US - _MARGIN_US
    return before_us // _DAY_US * _DAY_US


def date_unknown(engine: Engine, one: Unseen, now_us: int) -> None:
    """Takes rows for seen now of which nobody noted it: a release of before wrote them."""
    c = one.table.c
    while True:
        some = select(c.id).where(c.seen_us.is_(None)).limit(ROWS_AT_ONCE)
        with writing(engine) as connection:
            done = connection.execute(
                update(one.table).where(c.id.in_(some)).values(seen_us=now_us)
            )
        if done.rowcount < ROWS_AT_ONCE:
            return


def drop_unseen(engine: Engine, one: Unseen, before_us: int, rest: Rest) -> int | None:
    """Drops the rows that were seen last before a time; returns how many.

    Returns:
        None: lines were being written all the time; the next run tries again.
    """
    dropped = 0
    while True:
        with engine.connect() as connection:
            portion = list(connection.scalars(_gone(one, before_us).limit(ROWS_AT_ONCE)))
        if not portion:
            return dropped
        try:
            with writing(engine) as connection:
                dropped += _drop(connection, one, portion, before_us)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in _NOT_NOW:
                raise
            return None
        if rest():
            return dropped


def count_unseen(connection: Connection, one: Unseen, before_us: int) -> int:
    """How many rows `drop_unseen` would drop."""
    rows = _gone(one, before_us).subquery()
    return connection.scalar(select(func.count()).select_from(rows)) or 0


def _gone(one: Unseen, before_us: int) -> Select[Any]:
    c = one.table.c
    kept = [~select(column).where(column == c.id).exists() for column in one.kept_by]
    return select(c.id).where(c.seen_us < before_us, *kept)


def _drop(connection: Connection, one: Unseen, portion: Sequence[int], before_us: int) -> int:
    on_postgresql = connection.dialect.name == "postgresql"
    if on_postgresql:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    # Some may be seen again by now. Whoever reads another one before we commit learns it late, by
    # the edition.
    c = one.table.c
    still = _gone(one, before_us).where(c.id.in_(portion))
    gone = list(connection.scalars(delete(one.table).where(c.id.in_(still)).returning(c.id)))
    if gone:
        statement = (postgresql if on_postgresql else sqlite).insert(setting)
        renewed = {"value": token_hex(8)}
        connection.execute(
            statement.values(key=_EDITION, **renewed).on_conflict_do_update(
                index_elements=["key"], set_=renewed
            )
        )
        for column in one.along:
            connection.execute(delete(column.table).where(column.in_(gone)))
    return len(gone)
