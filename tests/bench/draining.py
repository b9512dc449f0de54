"""A process of its own that drains a backlog, and says in JSON what that took.

  python -m tests.bench.draining LINES WHAT    reads settings from the environment

WHAT is `client` (poll and throw away) or `collector` (the whole one, as `mirrorproof collect`).
Measured from the first line to the last; the start of the process is left out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from collector import log
from collector.clock import SystemClock
from collector.service import app
from collector.service.interpreter import favour_throughput
from collector.settings import Settings
from collector.settings.environment import load
from collector.sources.clients import KafkaOpener
from collector.sources.protocol import RecordSource
from tests.bench.figures import most_rss_mb

_LOOK_S = 0.005


def drain_client(settings: Settings, lines: int) -> dict[str, Any]:
    """Polls so many records."""
    source: RecordSource = KafkaOpener(settings.kafka)()
    begun, seen = (0.0, 0.0), 0
    while seen < lines:
        polled = source.poll(0.25)
        for partition in polled.assigned:
            source.begin(partition, 0)
            begun = time.perf_counter(), time.process_time()
        seen += sum(len(found) for found in polled.records.values())
    took = _took(begun)
    source.close()
    return took


def drain_collector(settings: Settings, lines: int) -> dict[str, Any]:
    """Runs the collector until it has stored so many lines."""
    collector = app.build(settings, SystemClock())
    stop = Event()
    found: dict[str, Any] = {}
    thread = Thread(target=_stop_at, args=(collector, lines, stop, found), daemon=True)
    thread.start()
    collector.run(stop)
    thread.join()
    totals = collector.totals
    assert (totals.read, totals.quarantined) == (lines, 0), totals
    return found


def _stop_at(collector: app.CollectorApp, lines: int, stop: Event, found: dict[str, Any]) -> None:
    _wait(lambda: bool(collector.ingest.written_batches), stop)
    begun = time.perf_counter(), time.process_time()
    _wait(lambda: collector.totals.read >= lines, stop)
    found.update(_took(begun))
    stop.set()


def _wait(is_done: Callable[[], bool], stop: Event) -> None:
    while not is_done() and not stop.is_set():
        time.sleep(_LOOK_S)


def _took(begun: tuple[float, float]) -> dict[str, Any]:
    wall_s, cpu_s = time.perf_counter() - begun[0], time.process_time() - begun[1]
    return {"wall_s": wall_s, "cpu_s": cpu_s, "rss_mb": most_rss_mb()}


def main() -> None:
    """Drains and prints."""
    log.configure("warning")
    favour_throughput()
    lines, what = int(sys.argv[1]), sys.argv[2]
    drain = drain_collector if what == "collector" else drain_client
    print(json.dumps(drain(load(), lines)))  # noqa: T201


if __name__ == "__main__":
    main()
