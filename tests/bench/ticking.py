"""A verifier of its own: settles a backlog, ticks, looks ids up, and says in JSON what that took.

python -m tests.bench.ticking URL
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, select, text, update

from collector.db.engine import open_engine
from collector.db.tables import observation, position
from collector.service.maintenance import Maintenance
from collector.settings import VerifierSettings
from collector.settings.retention import RetentionSettings
from tests.bench.figures import most_rss_mb
from tests.bench.history import LINES, SECOND_US, Traffic, cover, store
from tests.clocks import HandClock
from verifier.app import tick_rules
from verifier.retention import ages
from verifier.settle.lookup import explain_stored
from verifier.settle.tick import Ticked, Ticker
from verifier.settle.transaction import settling

_TICKS: Final = 10
_LOOKUPS: Final = 100


class Watch:
    """Wall and processor time, of this process and of the server's that works for it."""

    def __init__(self, connection: Connection | None) -> None:
        on_server = connection is not None and connection.dialect.name == "postgresql"
        self._pid = None
        if on_server and connection is not None:
            self._pid = connection.scalar(text("SELECT pg_backend_pid()"))
        self._begun = time.perf_counter(), self._cpu_s()

    def _cpu_s(self) -> float:
        found = time.process_time()
        if self._pid is not None:
            own = _stat(self._pid)
            # Its workers count, too, once they ended: they are children of its parent.
            spent = (*own[11:13], *_stat(own[1])[13:15])
            found += sum(spent) / 100
        return found

    def took(self) -> dict[str, float]:
        """Since it was made."""
        return {
            "wall_s": time.perf_counter() - self._begun[0],
            "cpu_s": self._cpu_s() - self._begun[1],
        }


def _stat(pid: int) -> list[int]:
    """The numbers of /proc/PID/stat from the parent's on; before them the state, as 0."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, fields[1:])]


def tick(engine: Engine, ticker: Ticker) -> tuple[Ticked, dict[str, float]]:
    """One tick, and what it took but for its commit."""
    with settling(engine) as connection:
        now_us = connection.scalar(select(position.c.end_checked_us)) or 0
        watch = Watch(connection)
        ticked = ticker.tick(connection, now_us)
        return ticked, watch.took()


def backlog(engine: Engine, ticker: Ticker) -> dict[str, Any]:
    """All that is due: as one run."""
    total, requests = {"wall_s": 0.0, "cpu_s": 0.0}, 0
    more = True
    while more:
        ticked, took = tick(engine, ticker)
        more = ticked.more
        requests += sum(one.requests for one in ticked.settled)
        total = {name: total[name] + took[name] for name in total}
    return {"lines": requests * LINES, "runs": [total]}


def ticks(engine: Engine, ticker: Ticker, begin_us: int) -> dict[str, Any]:
    """Window by window, each with its new lines."""
    runs, requests = [], 0
    with engine.connect() as connection:
        number = (connection.scalar(select(position.c.next_offset)) or 0) // LINES
    traffic = Traffic(number, _TICKS * 20_000, begin_us, 2_000)
    cover(engine, traffic)
    clock = HandClock()
    # It runs beside each collector, and does that as often as windows come here.
    maintenance = Maintenance(engine, clock, ages(RetentionSettings()), "hour")
    for part in traffic.portions(20_000):
        store(engine, part)
        clock.advance((part.end_us - clock.now_us()) / 1_000_000)
        maintenance.summarize()
        with engine.begin() as connection:
            place = {"next_offset": (part.number + part.requests) * LINES}
            place |= {"end_offset": place["next_offset"]}
            moved = {"watermark_us": part.end_us, "end_checked_us": part.end_us}
            connection.execute(update(position).values(**place, **moved))
        ticked, took = tick(engine, ticker)
        requests += sum(one.requests for one in ticked.settled)
        if ticked.settled:
            runs.append(took)
    return {"lines": requests * LINES // max(1, len(runs)), "runs": runs}


def lookups(engine: Engine) -> list[dict[str, float]]:
    """Ids from anywhere in the history."""
    dice = random.Random(1)
    c = observation.c
    with engine.connect() as connection:
        edges = connection.execute(select(func.min(c.start_us), func.max(c.start_us))).one()
        ids = []
        for _ in range(_LOOKUPS):
            at = dice.randrange(edges[0], edges[1] - 30 * SECOND_US)
            near = select(c.request_id).where(c.start_us >= at, c.start_us < at + 30 * SECOND_US)
            found = connection.scalar(near.limit(1))
            ids.append(found or f"{dice.getrandbits(128):032x}")
    took = []
    for one in ids:
        watch = Watch(None)
        explain_stored(engine, one)
        took.append(watch.took())
    return took


def main() -> None:
    """Measures and prints."""
    engine = open_engine(sys.argv[1])
    ticker = Ticker(tick_rules(VerifierSettings()))
    found = {"backlog": backlog(engine, ticker)}
    # Before this process makes lines itself, which SQLite does in its memory.
    rss_mb = most_rss_mb()
    with engine.connect() as connection:
        last_us = connection.scalar(select(func.max(observation.c.start_us))) or 0
    found |= {"ticks": ticks(engine, ticker, last_us // SECOND_US * SECOND_US + SECOND_US)}
    told = {**found, "lookups": lookups(engine), "rss_mb": rss_mb}
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
