"""How much disk lines take, with their indexes, once their partitions are full."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, text

from collector.db.engine import open_engine
from collector.db.partitions import HOUR_US
from tests.bench import history
from tests.bench.figures import Figure, Options, Run
from tests.bench.history import LINES, SECOND_US, Traffic
from tests.bench.writing import database

_BEGIN_US: Final = 1_760_000_400 * SECOND_US
_HOURS: Final = 4
_SIZES: Final = (
    "SELECT sum(pg_table_size(i.inhrelid)), sum(pg_indexes_size(i.inhrelid)) FROM pg_inherits i "
    "WHERE i.inhparent = 'observation'::regclass"
)


def stores(options: Options) -> Iterator[Figure]:
    """Bytes of a line in each database; the time is that of making them, within the database."""
    for kind in options.databases:
        with database(kind) as url:
            engine = open_engine(url)
            empty = sum(_sizes(engine))
            began_s, cpu_s = time.perf_counter(), time.process_time()
            lines = _fill(engine, options.rows)
            run = Run(time.perf_counter() - began_s, time.process_time() - cpu_s)
            table, indexes = _sizes(engine)
            engine.dispose()
        each = (table + indexes - empty) / lines
        parts = f", {indexes / lines:.0f} of them indexes" if indexes else ""
        note = f"{each:.0f} bytes a line{parts}; a million lines: {each:.0f} MB"
        yield Figure(f"storage: {kind}", lines, (run,), note, bytes_each=each)


def _fill(engine: Engine, rows: int) -> int:
    """Writes so many lines, as a mesh does, and keeps them in order; returns how many."""
    requests = rows // LINES
    traffic = Traffic(0, requests, _BEGIN_US, max(1, requests // (_HOURS * 3_600)))
    history.seed(engine)
    with history.without_indexes(engine):
        history.cover(engine, traffic)
        history.store(engine, traffic)
    history.keep_in_order(engine, traffic.end_us + HOUR_US)
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM observation")) or 0)


def _sizes(engine: Engine) -> tuple[int, int]:
    """Bytes of the lines, and of their indexes; of SQLite the file's, which has both."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            row = connection.execute(text(_SIZES)).one()
            return int(row[0] or 0), int(row[1] or 0)
        return _file_bytes(connection, engine), 0


def _file_bytes(connection: Connection, engine: Engine) -> int:
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
    return Path(engine.url.database or "").stat().st_size
