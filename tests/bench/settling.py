"""Settling: a backlog, single ticks and looking up one id, beside a history as long as wished.

The verifier runs in a process of its own (`tests.bench.ticking`), so that its memory is its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from sqlalchemy import Engine, func, insert, select

from collector.db.engine import open_engine, writing
from collector.db.partitions import HOUR_US
from collector.db.policies import record_versions
from collector.db.tables import batch, position
from tests.bench import history
from tests.bench.figures import Figure, Options, Run
from tests.bench.history import LINES, SECOND_US, Traffic
from tests.bench.kept import folder_of, kept, tell
from tests.settling import make_policy
from verifier.policies.stored import to_record
from verifier.tables import settled_batch, settled_policy

NOW_US: Final = 1_760_000_400 * SECOND_US
POLICY: Final = make_policy(("v1", 100.0))
BACKLOG: Final = 1_000_000
"""Lines that wait to be settled."""
_PER_S: Final = 2_000
HOURS: Final = 48
"""Over so many hours, and as many partitions, the history reaches back."""
_WINDOW_US: Final = 10 * SECOND_US


def settles(options: Options) -> Iterator[Figure]:
    """The figures of each database, beside a short history and beside the one that is asked for."""
    short = min(options.rows // 10, 1_000_000)
    with folder_of(options.keep) as folder:
        for kind in options.databases:
            before: float | None = None
            for rows in (short, options.rows):
                with kept(kind, folder, rows, partial(make_history, rows=rows)) as url:
                    engine = open_engine(url)
                    add_backlog(engine)
                    engine.dispose()
                    tell(f"{kind}: settling beside {rows:,} lines")
                    told = _told(url)
                yield from _figures(kind, rows, told, before)
                before = _tick_cpu_s(told)


def make_history(engine: Engine, rows: int) -> None:
    """A history of so many lines that is settled, up to `NOW_US`."""
    history.seed(engine)
    requests = rows // LINES
    span_s = HOURS * 3_600 - 1_800
    old = Traffic(0, requests, NOW_US - HOURS * HOUR_US, max(1, -(-requests // span_s)))
    with writing(engine) as connection:
        record_versions(connection, [to_record(POLICY)], 0)
    with history.without_indexes(engine):
        history.cover(engine, old)
        history.store(engine, old)
    with writing(engine) as connection:
        _settle_before(connection)
        history.caught_up(connection, requests * LINES, NOW_US)
    history.keep_in_order(engine, NOW_US)


def add_backlog(engine: Engine, lines: int = BACKLOG) -> int:
    """Lines after all that there are, which wait to be settled; returns when they begin, in µs."""
    with engine.connect() as connection:
        number = (connection.scalar(select(position.c.next_offset)) or 0) // LINES
        settled_us = connection.scalar(select(settled_policy.c.settled_to_us)) or 0
        last_us = connection.scalar(select(func.max(batch.c.max_start_us))) or 0
    # Not in the same window as what an earlier run stored.
    begin_us = (max(settled_us, last_us) // _WINDOW_US + 1) * _WINDOW_US
    new = Traffic(number, lines // LINES, begin_us, _PER_S)
    history.cover(engine, new)
    history.store(engine, new)
    with writing(engine) as connection:
        history.caught_up(connection, (number + new.requests) * LINES, new.end_us + _WINDOW_US)
    if engine.dialect.name == "postgresql":
        history.keep_in_order(engine, begin_us)
    return begin_us


def _settle_before(connection: Any) -> None:
    """What is older than the backlog is settled."""
    c = batch.c
    query = select(func.max(c.id), func.max(c.to_offset)).where(c.committed_us <= NOW_US)
    number, to_offset = connection.execute(query).one()
    connection.execute(
        insert(settled_batch).values(
            topic=history.TOPIC, partition=0, batch_id=number, to_offset=to_offset
        )
    )
    start = NOW_US // _WINDOW_US * _WINDOW_US
    values = {"policy": POLICY.name, "settled_to_us": start, "sizes": f"[[0, {_WINDOW_US}]]"}
    connection.execute(insert(settled_policy).values(values))


def _told(url: str) -> dict[str, Any]:
    """Runs the process; returns what it measured."""
    command = [sys.executable, "-m", "tests.bench.ticking", url]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _tick_cpu_s(told: dict[str, Any]) -> float:
    """Processor time of a tick, the server's with it."""
    return statistics.median(one["cpu_s"] for one in told["ticks"]["runs"])


def _figures(kind: str, rows: int, told: dict[str, Any], before: float | None) -> Iterator[Figure]:
    """What the process measured; `before`: CPU of a tick beside the short history."""
    beside = f"beside {rows:,} settled rows"
    for name, lines in (("backlog", told["backlog"]["lines"]), ("tick", told["ticks"]["lines"])):
        found = told["backlog" if name == "backlog" else "ticks"]["runs"]
        runs = tuple(Run(one["wall_s"], one["cpu_s"], told["rss_mb"]) for one in found)
        note = f"{beside}; CPU with the server's"
        if name == "tick" and before:
            note += f", {_tick_cpu_s(told) / before:.2f} times that beside the short history"
        yield Figure(f"settle: {kind}, {name}", lines, runs, note)
    walls = sorted(one["wall_s"] for one in told["lookups"])
    note = f"{beside}; p95 {walls[len(walls) * 95 // 100] * 1000:.0f} ms"
    runs = tuple(Run(one["wall_s"], one["cpu_s"]) for one in told["lookups"])
    yield Figure(f"settle: {kind}, one id", 1, runs, note)
