"""Puts the collector together from its settings, and runs it until it is told to stop."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Event, Thread
from typing import Final

from sqlalchemy import Engine

from collector import metrics
from collector.clock import Clock, SystemClock
from collector.db.engine import check_connection, disposing_on_error, open_engine, reading
from collector.db.interrupt import Interrupter
from collector.db.migrate import current_revision, require_schema, upgrade
from collector.db.policies import watched_hosts
from collector.db.writes import Writer, make_writer
from collector.errors import DatabaseAway, InputError, UsageError
from collector.log import get_logger
from collector.poison import PoisonLimits
from collector.service.backoff import Backoff
from collector.service.careful import CarefulReading
from collector.service.health import Health
from collector.service.health_server import serving
from collector.service.ingest import Ingest
from collector.service.lag import LagCheck
from collector.service.measured import CollectorMetrics
from collector.service.ownership import Ownership
from collector.service.parts import Parts
from collector.service.pending import Pending
from collector.service.process import ProcessMetrics
from collector.service.watchdog import watch
from collector.service.watcher import Watcher
from collector.settings import Settings
from collector.settings.reader import make_reader
from collector.sources.clients import KafkaOpener
from collector.sources.file import FileSource
from collector.sources.protocol import Partition, RecordSource
from collector.sources.unit import UnitReader
from collector.sources.units import KafkaUnits

_PATIENCE_S: Final = 5.0
"""For locks of others in the database; meanwhile nobody polls."""
_EXIT_MEMORY: Final = 71
_AHEAD: Final = 2
"""Polls' worth of lines that are read while a transaction is under way."""


def owner_name(settings: Settings) -> str:
    """The name of this process in the database: no other one ever had it, unless it is set."""
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    return settings.collector.owner or name


def open_database(settings: Settings, *, patience_s: float | None = None) -> Engine:
    """The database, reachable and with a schema of use; SQLite is migrated at once.

    Args:
        settings: All settings.
        patience_s: How long a statement may wait for a lock; None: for ever.

    Raises:
        UsageError: It cannot be used, or PostgreSQL is not migrated.
        Retryable: It does not answer.
    """
    url, pool_size = settings.database.address(), settings.database.pool_size
    engine = open_engine(url, pool_size=pool_size, patience_s=patience_s)
    with disposing_on_error(engine):
        check_connection(engine)
        if engine.dialect.name == "sqlite":
            upgrade(engine)  # nobody else runs on it: there is no old replica to mind
        if require_schema(engine):
            # While replicas are upgraded one by one, or after an upgrade was rolled back.
            get_logger(component="app").warning("schema_newer", revision=current_revision(engine))
    return engine


class CollectorApp:
    """One collector, ready to run.

    Args:
        settings: All settings.
        engine: The database, migrated.
        open_source: Opens the source of records, anew after a failure.
        clock: Where the time comes from.
        open_units: Opens a partition to read one record batch at a time; None: that cannot be.
        process: Whose metrics these become; None: of a process that does nothing else.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        open_source: Callable[[], RecordSource],
        clock: Clock,
        open_units: Callable[[Partition], UnitReader] | None = None,
        process: ProcessMetrics | None = None,
    ) -> None:
        own, kafka, owner = settings.collector, settings.kafka, owner_name(settings)
        limits = PoisonLimits(own.poison_limit, own.poison_share, own.poison_window)
        reader = make_reader(own, engine, limits)
        ownership = Ownership(
            engine,
            clock,
            owner,
            from_latest=kafka.initial_offset == "latest",
            can_be_careful=open_units is not None,
            on_begin=reader.forget,
        )
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self.process: Final = process or ProcessMetrics()
        writer = self._make_writer(settings, engine)
        pending = Pending(engine, clock, writer, ownership, self._aside)
        lag = LagCheck(
            engine, clock, ownership, pending, every_s=kafka.end_check_s, stall_s=kafka.stall_s
        )
        watcher = Watcher(engine, clock, owner, own.policy_refresh_s)
        self._clock, self._engine = clock, engine
        self._listen = own.health_listen
        self.health: Final = Health(clock, own.hang_s)
        self.totals: Final = pending.totals
        parts = Parts(
            clock=clock,
            health=self.health,
            open_source=open_source,
            ownership=ownership,
            pending=pending,
            lag=lag,
            watcher=watcher,
            reader=reader,
            poll_s=kafka.batch_wait_ms / 1000,
            most_waiting=_AHEAD * kafka.batch_records,
            careful=open_units
            and CarefulReading(engine, clock, ownership, pending, reader, watcher, open_units),
            start_timeout_s=kafka.start_timeout_s,
        )
        self.ingest: Final = Ingest(parts)
        self.process.registry.register(CollectorMetrics(parts))
        self.process.watch("collector", self.health)

    def _make_writer(self, settings: Settings, engine: Engine) -> Writer:
        """What writes, with its transactions measured."""
        timed = metrics.TRANSACTION.histogram(self.process.registry).time
        writer = make_writer(settings, engine, timed)
        self.process.watch_stage("write", lambda: writer.wrote_us)
        return writer

    def run(self, stop: Event) -> None:
        """Runs until `stop` is set. Blocks; take a thread of its own where more runs.

        Raises:
            UsageError: Kafka or the database refuses us for good; probes cannot be answered.
        """
        health, listen = self.health, self._listen
        probes = serving(health, listen, self.process) if listen else nullcontext()
        try:
            with probes:
                watched = (stop, self._clock, self.health, Interrupter(self._engine))
                Thread(target=watch, args=watched, name="watchdog", daemon=True).start()
                self.ingest.run(stop)
        except MemoryError:
            # Whoever restarts us begins with all of it; the partitions are taken as after a crash.
            get_logger().error("out_of_memory", effect="the process ends, to be started again")
            os._exit(_EXIT_MEMORY)
        finally:
            self.close()

    def close(self) -> None:
        """Ends what writes, then closes the connections; `run` does it by itself.

        In this order: a connection that is in use is not closed with its engine.
        """
        self._aside.shutdown()
        self._engine.dispose()


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


def build(
    settings: Settings,
    clock: Clock | None = None,
    stop: Event | None = None,
    process: ProcessMetrics | None = None,
) -> CollectorApp:
    """A collector that reads from Kafka.

    Args:
        settings: All settings.
        clock: Where the time comes from.
        stop: Ends the wait for a database that does not answer.
        process: As of `CollectorApp`.

    Raises:
        UsageError, Retryable: The database cannot be used; Kafka is tried when it runs.
    """
    opener, clock = KafkaOpener(settings.kafka), clock or SystemClock()
    engine = await_database(settings, clock, stop or Event())
    return CollectorApp(
        settings, engine, opener, clock, lambda one: KafkaUnits(settings.kafka, one), process
    )


def await_database(settings: Settings, clock: Clock, stop: Event) -> Engine:
    """The database; one that does not answer is waited for, as after a start of everything.

    Raises:
        UsageError, Retryable: It cannot be used, or did not answer for too long.
    """
    backoff, log = Backoff(), get_logger(component="app")
    until_s = clock.monotonic() + settings.database.start_timeout_s
    while True:
        try:
            return open_database(settings, patience_s=_PATIENCE_S)
        except DatabaseAway as error:
            wait_s = backoff.failed(clock.monotonic())
            if clock.monotonic() + wait_s > until_s or clock.wait(stop, wait_s):
                raise
            log.warning("database_awaited", error=str(error))


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
    with disposing_on_error(engine):
        with reading(engine) as connection:
            watched = watched_hosts(connection, clock.now_us())
        if not watched.hosts:
            raise UsageError("no policy is recorded: give --policy FILE")
    return FileCollectorApp(settings, engine, source, clock)
