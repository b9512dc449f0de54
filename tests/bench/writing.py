"""The real Writer in real transactions, one batch a transaction."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import create_engine, make_url, text

from collector.batch import Batch
from collector.db import positions
from collector.db.engine import open_engine, writing
from collector.db.migrate import upgrade
from collector.db.positions import Claim
from collector.db.writes import Writer
from collector.redact import Redactor
from collector.sources.protocol import Partition
from tests.bench.figures import Figure, Options, Run
from tests.bench.parsing import BATCH, make_batches
from tests.servers.choice import start_postgres

ROWS: Final = 60_000


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of an empty database with the newest schema, gone at the end."""
    if kind == "SQLite":
        with tempfile.TemporaryDirectory(prefix="mirrorproof-bench-") as name:
            yield _migrated(f"sqlite:///{Path(name) / 'bench.db'}")
        return
    with start_postgres(os.environ) as server:
        name = f"bench_{uuid.uuid4().hex[:12]}"
        _execute(server.url, f'CREATE DATABASE "{name}"')
        try:
            url = make_url(server.url).set(database=name)
            yield _migrated(url.render_as_string(hide_password=False))
        finally:
            _execute(server.url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _migrated(url: str) -> str:
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


def _execute(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def writes(options: Options) -> Iterator[Figure]:
    """Rows a second, into each database."""
    batches = make_batches(ROWS)
    rows = sum(batch.stored for batch in batches)
    for kind in options.databases:
        with database(kind) as url:
            runs = tuple(_write_all(url, batches, f"topic-{n}") for n in range(options.runs + 1))
        note = f"{BATCH} rows a transaction; CPU without the server's"
        yield Figure(f"write: {kind}", rows, runs[1:], note)


def _write_all(url: str, batches: list[Batch], topic: str) -> Run:
    """Writes them as the records of a new topic."""
    partition = Partition(topic, 0)
    batches = [msgspec.structs.replace(batch, partition=partition) for batch in batches]
    engine = open_engine(url)
    writer, now_us = Writer(engine, Redactor()), time.time_ns() // 1000
    with writing(engine) as connection:
        positions.create(connection, partition, 0, None, now_us)
        claim: Claim = positions.claim(connection, partition, "bench", now_us)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for batch in batches:
        writer.write([batch], {partition: claim}, now_us)
    run = Run(time.perf_counter() - wall_s, time.process_time() - cpu_s)
    engine.dispose()
    return run
