"""The query API over HTTP: statements over ranges, and one id, beside a history as long as wished.

Windows of the whole history are made inside the database: statements add these up, and never look
at lines.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from threading import Event, Thread
from typing import Final

import httpx2
from sqlalchemy import Engine, Integer, String, insert, select, text

from collector.db.engine import open_engine, writing
from collector.db.partitions import HOUR_US
from collector.db.tables import observation
from collector.log import configure
from collector.settings import ApiSettings, DatabaseSettings, Settings
from tests.bench import settling
from tests.bench.figures import Figure, Options, Run
from tests.bench.history import LINES, SECOND_US
from tests.bench.kept import folder_of, kept, tell
from tests.bench.settling import NOW_US, POLICY, add_backlog, make_history
from verifier.api.server import Server, make_services
from verifier.tables import settled_window
from verifier.times import iso_time

_QUESTIONS: Final = 100
"""Of each kind, after some that fill caches and pools."""
_WARM: Final = 10
_WINDOW_US: Final = 10 * SECOND_US
_TARGET_MS: Final = 100
_NEW_LINES: Final = 360_000
"""Of the newest minute, at 2,000 requests a second: a busy mesh."""
BEGIN_US: Final = NOW_US - settling.HOURS * HOUR_US

Ask = Callable[[str, dict[str, str]], None]


def asks(options: Options) -> Iterator[Figure]:
    """The figures of each database."""
    configure("warning")  # a line for each request would be between them
    rows = options.rows
    with folder_of(options.keep) as folder:
        for kind in options.databases:
            with kept(kind, folder, rows, partial(make_history, rows=rows)) as url:
                engine = open_engine(url)
                newest_us = add_backlog(engine, _NEW_LINES)
                add_windows(engine, rows // LINES)
                tell(f"{kind}: asking beside {rows:,} lines")
                ids = some_ids(engine, newest_us)
                for name, questions in (*ranges(), ("one id", [{"id": one} for one in ids])):
                    path = "/api/v1/requests" if name == "one id" else "/api/v1/statement"
                    yield figure(f"api: {kind}, {name}", rows, answers(engine, path, questions))
                engine.dispose()


def add_windows(engine: Engine, requests: int) -> None:
    """A settled window for each ten seconds of the history, all proven, where there are none."""
    with engine.connect() as connection:
        query = select(settled_window.c.id).where(settled_window.c.start_us < NOW_US)
        if connection.execute(query.limit(1)).first() is not None:
            return
    number = (NOW_US - BEGIN_US) // _WINDOW_US
    values: dict[str, object] = {
        "policy": POLICY.name, "size_us": _WINDOW_US, "revision": 1, "policy_version_id": 1,
        "rules_version": 1, "statement": "proven", "reason": "all copied", "declared": 100.0,
        "observed": 100.0, "low": 99.0, "high": 100.0, "consistent": True,
        "watermark_us": NOW_US, "content": bytes(32), "digest": bytes(32),
        "previous_digest": b"", "settled_us": NOW_US,
    }  # fmt: skip
    each = max(1, requests // number)
    counted = ("requests", "requests_high", "matched", "control", "paired")
    for column in settled_window.columns:
        if isinstance(column.type, Integer) and column.name not in ("id", "start_us", "recheck_us"):
            values.setdefault(column.name, each if column.name in counted else 0)
    values.pop("superseded_us", None)
    begin = BEGIN_US // _WINDOW_US * _WINDOW_US
    starts = range(begin, begin + number * _WINDOW_US, _WINDOW_US)
    with writing(engine) as connection:
        connection.execute(insert(settled_window), [{**values, "start_us": at} for at in starts])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def some_ids(engine: Engine, newest_us: int) -> list[str]:
    """Ids from anywhere in the history, and from the newest minute."""
    dice, c = random.Random(1), observation.c
    found: list[str] = []
    with engine.connect() as connection:
        while len(found) < _QUESTIONS + _WARM:
            newest = len(found) % 4 == 0
            begin_us = newest_us if newest else dice.randrange(BEGIN_US, NOW_US - HOUR_US)
            near = c.start_us.between(begin_us, begin_us + 60 * SECOND_US)
            ids = connection.scalars(select(c.request_id.cast(String)).where(near).limit(50)).all()
            found.append(dice.choice(ids) if ids else f"{dice.getrandbits(128):032x}")
    return found


def ranges() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Questions about an hour, a day, and all there is."""
    dice = random.Random(2)
    for name, long_us in (
        ("an hour", HOUR_US),
        ("a day", 24 * HOUR_US),
        ("all", NOW_US - BEGIN_US),
    ):
        yield (
            f"statement of {name}",
            [
                {"policy": POLICY.name, "since": iso_time(at), "until": iso_time(at + long_us)}
                for at in (
                    BEGIN_US + dice.randrange(max(1, NOW_US - BEGIN_US - long_us))
                    for _ in range(_QUESTIONS + _WARM)
                )
            ],
        )


def answers(engine: Engine, path: str, questions: list[dict[str, str]]) -> list[Run]:
    """Asks one question after the other over a connection that is kept; how long each took."""
    url = engine.url.render_as_string(hide_password=False)
    api = ApiSettings(listen="127.0.0.1:0", rate_per_s=100_000, rate_burst=1_000_000)
    settings = Settings(database=DatabaseSettings(url=url), api=api)
    server, stop = Server(make_services(settings, open_engine(url))), Event()
    thread = Thread(target=server.run, args=(stop,))
    thread.start()
    runs = []
    try:
        with httpx2.Client(base_url=server.url, timeout=60) as client:
            for question in questions:
                wall_s, cpu_s = time.perf_counter(), time.process_time()
                answer = client.get(path, params=question)
                runs.append(Run(time.perf_counter() - wall_s, time.process_time() - cpu_s))
                assert answer.status_code == 200, answer.text
    finally:
        stop.set()
        thread.join()
    return runs[_WARM:]


def figure(name: str, rows: int, runs: list[Run]) -> Figure:
    """Questions a second, and what nineteen of twenty take at most."""
    walls = sorted(run.wall_s for run in runs)
    p50, p95 = (walls[len(walls) * share // 100] * 1000 for share in (50, 95))
    note = f"p50 {p50:.0f} ms, p95 {p95:.0f} ms (target {_TARGET_MS}) beside {rows:,} settled rows"
    return Figure(name, 1, tuple(runs), note)
