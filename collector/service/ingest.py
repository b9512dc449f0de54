"""The loop of the collector: poll, read, write in one transaction, tell Kafka as a hint.

While a server is away the loop keeps polling (a silent member would lose its partitions), holds
what it read, and tries again with growing waits.
"""

from __future__ import annotations

from threading import Event
from typing import Final

from collector.errors import (
    DatabaseAway,
    MirrorproofError,
    Outdated,
    Refused,
    Retryable,
    UsageError,
)
from collector.log import Throttle, get_logger
from collector.service.backoff import Backoff
from collector.service.first_source import FirstSource
from collector.service.health import STALLED
from collector.service.parts import Parts
from collector.sources.protocol import Polled, RecordSource, Stuck, Undecodable

_POLL_AWAY_S: Final = 0.1
"""How long to poll while nothing can be written: short, to try again in time."""
_SOURCE_FAILURES: Final = 5
"""Failures in a row after which the client is replaced."""
_CALM_S: Final = 5.0
"""After so long without a failure the client is in order again."""


class Ingest:
    """One collector. `run` takes a thread of its own."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._source: RecordSource | None = None
        self._paused = False
        self._source_failed_s = 0.0
        self._source_backoff, self._database_backoff = Backoff(), Backoff()
        self._questions = Backoff()
        self._throttle = Throttle()
        self._log = get_logger(component="ingest")
        self._health = parts.health
        self._first = FirstSource(parts.clock, parts.start_timeout_s)
        self._has_read = False
        self.written_batches = 0

    def run(self, stop: Event) -> None:
        """Runs until `stop` is set, then writes what is in hand and leaves in good order.

        Raises:
            UsageError: Kafka or the database refuses us for good.
            MemoryError: There is none left; our partitions are not given back, as after a crash.
        """
        try:
            while not stop.is_set():
                self.turn(stop)
        except BaseException as error:
            if not isinstance(error, MemoryError):
                self._leave()
            raise
        self._leave()

    def turn(self, stop: Event) -> None:
        """One round: at most one poll; what it brings is written while the next ones read."""
        self._beat()
        source = self._source or self._connect(stop)
        if source is None or (polled := self._poll(source, stop)) is None:
            return
        self._beat()
        self._take_note(polled, source)
        self._read(polled, source)
        self._expire()
        if self._database_backoff.due(self._clock.monotonic()):
            self._work(source)
        self._tell()

    def _beat(self) -> None:
        """The loop goes on; but a write that never ends is a hang, too."""
        if not self._parts.pending.is_writing:
            self._health.beat()

    def _connect(self, stop: Event) -> RecordSource | None:
        try:
            self._source = self._parts.open_source()
        except (Retryable, UsageError) as error:
            self._first.failed(error)
            self._source_failed(error, stop)
            return None
        self._first.came()
        self._health.mend("starting")
        self._log.info("source_opened")
        return self._source

    def _poll(self, source: RecordSource, stop: Event) -> Polled | None:
        """What the source brought; None: it failed."""
        try:
            polled = source.poll(_POLL_AWAY_S if self._paused else self._parts.poll_s)
        except Undecodable as error:
            self._suspect(error, source)
            return None
        except (Retryable, Refused) as error:
            self._refuse_start(error)
            self._source_failed(error, stop)
            return None
        if self._clock.monotonic() - self._source_failed_s > _CALM_S:
            self._source_backoff.succeeded()
        if not self._questions.failures:
            self._health.mend("kafka_away")
        return polled

    def _suspect(self, error: Undecodable, source: RecordSource) -> None:
        """One of our partitions brings what cannot be unpacked: the next source reads carefully."""
        self._log.error("records_not_unpacked", error=str(error))
        self._take_outcome(source)
        try:
            self._parts.ownership.suspect()
        except MirrorproofError as away:
            self._complain("work_failed", away)
        self._replace_source()

    def _refuse_start(self, error: MirrorproofError) -> None:
        """Raises an error that was there from the beginning: a setting is wrong.

        Later on credentials are exchanged, or rights are taken and given: that is waited for.
        """
        if isinstance(error, UsageError) and not self._has_read:
            raise error

    def _source_failed(self, error: MirrorproofError, stop: Event) -> None:
        self._source_failed_s = self._clock.monotonic()
        wait_s = self._source_backoff.failed(self._source_failed_s)
        self._complain("source_failed", error)
        self._health.trouble("kafka_away", str(error))
        if isinstance(error, UsageError) or self._source_backoff.failures >= _SOURCE_FAILURES:
            self._replace_source()  # the new one reads passwords and certificates anew
        elif self._source is not None:
            # Whatever the failed poll had in hand is fetched again, from where we are.
            for partition, held in self._parts.ownership.held.items():
                self._source.begin(partition, held.read_next, held.leader_epoch)
        self._clock.wait(stop, wait_s)

    def _replace_source(self) -> None:
        if self._source is not None:
            self._take_outcome(self._source)
            self._log.warning("source_replaced")
            self._source.close()
        self._source, self._paused = None, False
        self._questions.succeeded()
        # The new one announces its partitions anew, and they are read from the database's offset.
        self._parts.ownership.clear()
        self._parts.pending.drop_foreign()

    def _take_note(self, polled: Polled, source: RecordSource) -> None:
        if polled.revoked:
            self._take_outcome(source)
        self._parts.ownership.announce(polled.assigned, polled.revoked, polled.broken)
        if polled.revoked:
            self._parts.pending.drop_foreign()

    def _read(self, polled: Polled, source: RecordSource) -> None:
        """Turns records into batches; nothing here waits for anybody."""
        parts = self._parts
        for partition, records in polled.records.items():
            held = parts.ownership.held.get(partition)
            if held is None:
                continue
            if records[0].offset < held.read_next:  # fetched before it was sought again
                records = [record for record in records if record.offset >= held.read_next]
            if not records:
                continue
            watch, now_us = parts.watcher.watch, self._clock.now_us()
            batch = parts.reader.read(partition, held.read_next, records, watch, now_us)
            batch.leader_epoch = polled.leader_epochs.get(partition)
            held.read_next, held.leader_epoch = batch.to_offset, batch.leader_epoch
            held.moved_s, held.record_us = self._clock.monotonic(), records[-1].timestamp_us
            parts.pending.add(batch)
            if batch.stop_reason:
                source.halt(partition)

    def _expire(self) -> None:
        """Gives up pieces of lines that waited too long, also where no record comes."""
        parts, now_us = self._parts, self._clock.now_us()
        for partition, held in parts.ownership.held.items():
            batch = parts.reader.expire(partition, held.read_next, parts.watcher.watch, now_us)
            if batch is not None:
                parts.pending.add(batch)

    def _work(self, source: RecordSource) -> None:
        """Everything that needs the database, in an order that never skips a record."""
        parts = self._parts
        pending, asks = parts.pending, parts.ask_database()
        if not asks and pending.is_writing and pending.waiting() < parts.most_waiting:
            return
        try:
            written = pending.write(source) if asks else pending.finish(source)
            self._health.beat()
            if asks:
                parts.watcher.refresh()
                self._ask(source)
            pending.begin()
            if not pending.is_writing:
                written |= pending.finish(source)
        except (Stuck, Outdated) as error:
            # Whoever was outdated learns the policies before it reads anything again.
            self._complain("source_stuck", error)
            self._replace_source()
        except Retryable as error:
            self._database_failed(error, source)
        else:
            self.written_batches += len(written)
            self._database_backoff.succeeded()
            self._health.mend("database_away")
            if self._source is source:
                source.commit_hint(written)
                self._set_paused(paused=parts.watcher.is_idle, source=source)

    def _take_outcome(self, source: RecordSource) -> None:
        """Ends the write that is under way, before its partitions are anybody else's."""
        try:
            source.commit_hint(self._parts.pending.finish(source))
        except (Retryable, Outdated) as error:
            self._database_failed(error, source)

    def _database_failed(self, error: MirrorproofError, source: RecordSource) -> None:
        self._database_backoff.failed(self._clock.monotonic())
        self._complain("work_failed", error)
        self._health.trouble("database_away", str(error))
        self._set_paused(paused=True, source=source)

    def _ask(self, source: RecordSource) -> None:
        """What needs both servers. Without the brokers' answers what came is written all the same.

        Raises:
            Stuck: The source must be replaced.
            DatabaseAway, Outdated, UsageError: The database.
        """
        parts, now_s = self._parts, self._clock.monotonic()
        if not self._questions.due(now_s):
            return
        try:
            if not parts.watcher.is_idle:
                parts.ownership.settle(source)
                if parts.careful is not None:
                    parts.careful.run(source)
                self._has_read = self._has_read or bool(parts.ownership.held)
                self._health.beat()
            parts.lag.run(source, parts.watcher.watch.policy_version_id)
        except (DatabaseAway, Stuck):
            raise
        except (Retryable, Refused) as error:
            self._refuse_start(error)
            self._questions.failed(now_s)
            self._complain("question_failed", error)
            self._health.trouble("kafka_away", str(error))
            if self._questions.failures >= _SOURCE_FAILURES or isinstance(error, UsageError):
                self._replace_source()
        else:
            self._questions.succeeded()

    def _tell(self) -> None:
        """What an operator has to know, for the probes."""
        stopped = sorted(self._parts.ownership.stopped.items())
        self._health.say("partition_stopped", "; ".join(f"{one}: {why}" for one, why in stopped))
        self._health.say(STALLED, self._parts.lag.hopeless)

    def _set_paused(self, *, paused: bool, source: RecordSource) -> None:
        if paused != self._paused:
            self._paused = paused
            (source.pause if paused else source.resume)()

    def _complain(self, event: str, error: MirrorproofError) -> None:
        if self._throttle.ready(event, self._clock.monotonic()):
            self._log.warning(event, error=str(error))

    def _leave(self) -> None:
        parts = self._parts
        self._health.trouble("leaving", "told to stop")
        try:
            if self._source is not None:
                self._source.commit_hint(parts.pending.write(self._source))
                parts.ownership.give_back()
        except MirrorproofError as error:
            # Nothing is lost: whoever reads on begins at the database's offset.
            self._log.warning("left_without_writing", error=str(error))
        else:
            parts.watcher.close()
        if parts.careful is not None:
            parts.careful.close()
        if self._source is not None:
            self._source.close()
