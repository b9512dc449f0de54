"""Puts the collector together from its settings, and runs it until it is told to stop."""

from __future__ import annotations

import faulthandler
import os
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Event, Thread
from typing import Final

from sqlalchemy import Engine

from collector.batch import Reader
from collector.clock import Clock, SystemClock
from collector.db.engine import check_connection, open_engine, reading
from collector.db.migrate import require_head, upgrade
from collector.db.policies import watched_hosts
from collector.db.secrets import request_key_secret
from collector.db.writes import Writer
from collector.errors import InputError, MirrorproofError, UsageError
from collector.ingest import Ingest, Parts
from collector.lag import LagCheck
from collector.log import get_logger
from collector.ownership import Ownership
from collector.pending import Pending
from collector.poison import PoisonLimits
from collector.records import Identity
from collector.redact import PathRedactor
from collector.settings import KafkaSettings, Settings
from collector.sources.file import FileSource, pod_of_file
from collector.sources.kafka import KafkaSource
from collector.sources.protocol import Partition, RecordSource
from collector.watcher import Watcher

_HUNG_S: Final = 180.0
"""A round of the loop that takes so long never ends: longer than all time-outs in it together."""
_WATCH_EVERY_S: Final = 5.0
_EXIT_HUNG: Final = 70


def owner_name(settings: Settings) -> str:
    """The name of this process in the database: no other one ever had it, unless it is set."""
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    return settings.collector.owner or name


def open_database(settings: Settings) -> Engine:
    """The database, reachable and with the right schema; SQLite is migrated at once.

    Raises:
        UsageError: It cannot be used, or PostgreSQL is not migrated.
        Retryable: It does not answer.
    """
    engine = open_engine(settings.database.address(), pool_size=settings.database.pool_size)
    check_connection(engine)
    if engine.dialect.name == "sqlite":
        upgrade(engine)  # nobody else runs on it: there is no old replica to mind
    else:
        require_head(engine)
    return engine


class CollectorApp:
    """One collector, ready to run.

    Args:
        settings: All settings.
        engine: The database, migrated.
        open_source: Opens the source of records, anew after a failure.
        clock: Where the time comes from.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        open_source: Callable[[], RecordSource],
        clock: Clock,
    ) -> None:
        own, kafka, owner = settings.collector, settings.kafka, owner_name(settings)
        secret = request_key_secret(engine)
        limits = PoisonLimits(own.poison_limit, own.poison_share, own.poison_window)
        reader = Reader(secret, own.containers, _identities(own.cluster), limits)
        ownership = Ownership(
            engine,
            clock,
            owner,
            from_latest=kafka.initial_offset == "latest",
            on_begin=reader.forget,
        )
        writer = Writer(engine, PathRedactor(own.keep_query))
        pending = Pending(engine, clock, writer, ownership)
        lag = LagCheck(
            engine,
            clock,
            ownership,
            pending,
            every_s=kafka.end_check_s,
            stall_s=kafka.stall_s,
        )
        self._clock = clock
        self._engine = engine
        self.totals: Final = pending.totals
        self.ingest: Final = Ingest(
            Parts(
                clock=clock,
                open_source=open_source,
                ownership=ownership,
                pending=pending,
                lag=lag,
                watcher=Watcher(engine, clock, owner, own.policy_refresh_s),
                reader=reader,
                poll_s=kafka.batch_wait_ms / 1000,
                start_timeout_s=kafka.start_timeout_s,
            )
        )

    def run(self, stop: Event) -> None:
        """Runs until `stop` is set. Blocks; take a thread of its own where more runs.

        Raises:
            UsageError: Kafka or the database refuses us for good.
        """
        Thread(target=self._watch, args=(stop,), name="watchdog", daemon=True).start()
        try:
            self.ingest.run(stop)
        finally:
            self._engine.dispose()

    def _watch(self, stop: Event) -> None:
        """Ends the process when the loop hangs: whoever restarts it does better than waiting."""
        while not self._clock.wait(stop, _WATCH_EVERY_S):
            silent_s = self._clock.monotonic() - self.ingest.last_turn_s
            if silent_s > _HUNG_S:
                get_logger().error("collector_hung", silent_s=round(silent_s))
                faulthandler.dump_traceback(sys.stderr, all_threads=True)
                os._exit(_EXIT_HUNG)


class FileCollectorApp(CollectorApp):
    """A collector of files: it comes to an end, and then knows what it read."""

    def __init__(
        self, settings: Settings, engine: Engine, source: FileSource, clock: Clock
    ) -> None:
        super().__init__(settings, engine, lambda: source, clock)
        self._source = source

    def check_outcome(self) -> None:
        """Raises InputError: a file was not read to its end, or no line is an access log."""
        if self._source.unread:
            names = ", ".join(str(path) for path in self._source.unread)
            raise InputError(f"{names}: not read to the end; the log above says why")
        if self.totals.read and not self.totals.has_logs:
            raise InputError("no line is an access log; are these the right files?")


def _identities(cluster: str) -> Callable[[Partition], Identity]:
    """Who wrote the bare lines of a partition: a file called POD.log names its pod."""

    @lru_cache(maxsize=4096)
    def identity_of(partition: Partition) -> Identity:
        return Identity(pod=pod_of_file(partition), cluster=cluster)

    return identity_of


def build(settings: Settings, clock: Clock | None = None) -> CollectorApp:
    """A collector that reads from Kafka.

    Raises:
        UsageError, Retryable: The database cannot be used; Kafka is tried when it runs.
    """
    opener = KafkaOpener(settings.kafka)
    return CollectorApp(settings, open_database(settings), opener, clock or SystemClock())


class KafkaOpener:
    """Opens sources of records from Kafka; the first one must find its topics."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._has_begun = False

    def __call__(self) -> RecordSource:
        """A source. Raises UsageError, Retryable: it cannot be read, or not yet."""
        source = KafkaSource(self._kafka, client_id=f"mirrorproof-{socket.gethostname()}")
        if not self._has_begun:
            try:
                source.require_topics()
            except MirrorproofError:
                source.close()
                raise
            self._has_begun = True
        return source


def build_from_files(
    settings: Settings, paths: Sequence[Path], stop: Event, clock: Clock | None = None
) -> FileCollectorApp:
    """A collector that reads files and sets `stop` when it came to their ends.

    Raises:
        InputError: A file cannot be read.
        UsageError, Retryable: The database cannot be used, or knows no policy.
    """
    clock = clock or SystemClock()
    source = FileSource(paths, on_end=stop.set)
    engine = open_database(settings)
    with reading(engine) as connection:
        watched = watched_hosts(connection, clock.now_us())
    if not watched.hosts:
        engine.dispose()
        raise UsageError("no policy is recorded: give --policy FILE")
    return FileCollectorApp(settings, engine, source, clock)
