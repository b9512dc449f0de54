"""Reads a range of offsets again, and stores what was not stored: see `collector.reread`.

Another client in no group, which commits nothing: the live positions stay as they are. A portion is
one transaction, so that whoever is killed in between begins anew and finds the first ones done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine

from collector.batch import Batch, Watch
from collector.clock import Clock
from collector.db.engine import reading
from collector.db.policies import watched_hosts
from collector.db.reread import cover, read_before, settle_entries, stored_spots, waiting_in
from collector.db.writes import MOST_REFUSED, make_writer
from collector.errors import DatabaseAway, Fenced, Retryable, RowRefused, UsageError
from collector.hosts import HostTable
from collector.log import get_logger
from collector.poison import ENDLESS
from collector.reread import Change, Found, Spot, Waiting, change_of, read_again
from collector.service.operator import one_partition
from collector.settings import Settings
from collector.settings.reader import make_reader
from collector.sources.protocol import Partition, Record, RecordSource

_POLL_S: Final = 0.5
_SILENT_S: Final = 30.0
_TRIES: Final = 5


class Range(msgspec.Struct, frozen=True):
    """What is read again: from one offset up to another, which is not."""

    where: Partition
    begin: int
    end: int


class Reread(msgspec.Struct):
    """What came of it.

    Attributes:
        records: Records that Kafka still has.
        read: Lines in them; the sum of the next five.
        stored: Lines that were not stored before.
        repeated: Lines that were.
        ignored: Lines that are none of ours.
        unreadable: Lines that nobody can read, in quarantine before or since.
        filled: Records of gaps that were read now.
        from_us: The earliest time of any record or stored line, µs; None: there was none.
        to_us: The latest.
    """

    records: int = 0
    read: int = 0
    stored: int = 0
    repeated: int = 0
    ignored: int = 0
    unreadable: int = 0
    filled: int = 0
    from_us: int | None = None
    to_us: int | None = None

    def add(self, found: Found, change: Change) -> None:
        """Adds a portion that was written."""
        stored, refused = change.batch.stored, change.unreadable
        self.read += found.read
        self.stored += stored
        self.repeated += change.repeated
        self.unreadable += refused
        self.ignored += found.read - stored - change.repeated - refused
        self.filled += sum(end - begin for _, begin, end in change.filled)
        times = [one.observation.log.start_us for one in change.batch.seen]
        for time_us in (*times, *(found.times or ())):
            self.from_us = time_us if self.from_us is None else min(self.from_us, time_us)
            self.to_us = time_us if self.to_us is None else max(self.to_us, time_us)


class Rereader:
    """Reads ranges again.

    Args:
        settings: All settings; lines are read by those of now.
        engine: The database.
        clock: Where the time comes from.
        dry_run: Only say what would be done.
    """

    def __init__(
        self, settings: Settings, engine: Engine, clock: Clock, *, dry_run: bool = False
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._dry_run = dry_run
        self._writer = make_writer(settings, engine)
        self._reader = make_reader(settings.collector, engine, ENDLESS)
        with reading(engine) as connection:
            found = watched_hosts(connection, clock.now_us())
        self._watch = Watch(HostTable(found.hosts), found.policy_version_id)
        self._log = get_logger(component="reread")

    def read(self, asked: Range, show: Callable[[int], None], stop: Event) -> tuple[Reread, int]:
        """Reads a range again.

        Args:
            asked: Which one.
            show: Told the offset up to which all is done.
            stop: Ends it early, between two portions.

        Returns:
            What came of it, and the offset up to which it was read.

        Raises:
            UsageError: The range cannot be read again; the message says which one can.
            Retryable: Kafka or the database does not answer.
        """
        done = Reread()
        after_id, topic_id = self._check(asked)
        self._reader.forget(asked.where)
        at = asked.begin
        with one_partition(self._settings.kafka, asked.where) as source:
            _check_source(source, asked, topic_id)
            for records, reached in _fetch(source, asked):
                done.records += len(records)
                self._take(asked.where, records, (at, reached), after_id, done)
                at = reached
                show(at)
                if stop.is_set():
                    break
        return done, at

    def _check(self, asked: Range) -> tuple[int, str | None]:
        if asked.begin >= asked.end:
            raise UsageError(f"--from-offset {asked.begin} is not before {asked.end}")
        with reading(self._engine) as connection:
            next_offset, topic_id = read_before(connection, asked.where)
            if asked.end > next_offset:
                raise UsageError(
                    f"{asked.where} is read up to offset {next_offset}; what comes later is not "
                    "read again but for the first time: run a collector"
                )
            return cover(connection, asked.where, asked.begin, asked.end), topic_id

    def _take(
        self,
        where: Partition,
        records: list[Record],
        span: tuple[int, int],
        after_id: int,
        done: Reread,
    ) -> None:
        """One portion; again where others did something of it meanwhile."""
        batches: dict[tuple[int, int], Batch] = {}

        def read(some: list[Record]) -> Batch:
            # Once: its pieces of lines are joined from portion to portion.
            place = some[0].offset, some[-1].offset
            if place not in batches:
                batches[place] = self._read(where, some)
            return batches[place]

        refused: dict[Spot, str] = {}
        for _ in range(_TRIES):
            with reading(self._engine) as connection:
                waiting = waiting_in(connection, where, *span)
            found = read_again(records, span, waiting, lambda some: read(list(some)))
            try:
                change = self._write(where, found, after_id, refused)
            except Fenced:
                continue
            except RowRefused as error:
                refused |= self._refused(found, str(error))
                continue
            done.add(found, change)
            return
        raise DatabaseAway(f"others read offsets of {where} again at the same time; try later")

    def _read(self, where: Partition, records: list[Record]) -> Batch:
        batch = self._reader.read(
            where, records[0].offset, records, self._watch, self._clock.now_us()
        )
        # Pieces of lines that are cut by an end of the range count as ignored, as they did.
        batch.held, batch.unheld = [], []
        return batch

    def _write(
        self, where: Partition, found: Found, after_id: int, refused: dict[Spot, str]
    ) -> Change:
        now_us, changes = self._clock.now_us(), []

        def decide(connection: Connection) -> Batch | None:
            if _keys(waiting_in(connection, where, found.begin, found.end)) != _keys(found.waiting):
                raise Fenced(f"quarantine of {where} changed")
            spots = stored_spots(connection, where, found.begin, found.end, after_id)
            changes.append(change_of(where, found, spots, refused))
            return changes[-1].batch if changes[-1].is_news else None

        if self._dry_run:
            with reading(self._engine) as connection:
                decide(connection)
            return changes[-1]
        self._writer.write_late(
            where,
            found.seen,
            now_us,
            decide,
            lambda connection, batch_id: settle_entries(
                connection, changes[-1], batch_id, found.times, now_us
            ),
        )
        return changes[-1]

    def _refused(self, found: Found, why: str) -> dict[Spot, str]:
        """Lines that the database does not take."""
        bad = self._writer.refused(found.seen, self._clock.now_us(), MOST_REFUSED)
        if not bad or len(bad) > MOST_REFUSED:
            raise DatabaseAway(f"the database takes no lines: {why}")
        self._log.warning("rows_refused", rows=len(bad), error=why)
        return {(seen.offset, seen.item): reason for seen, reason in bad}


def _keys(waiting: Sequence[Waiting]) -> list[tuple[int, int, int]]:
    return [(one.id, one.offset, one.records) for one in waiting]


def _check_source(source: RecordSource, asked: Range, topic_id: str | None) -> None:
    """Raises UsageError where Kafka has other records by now, or none."""
    where, now_id = asked.where, source.topic_id(asked.where.topic)
    if topic_id and now_id and topic_id != now_id:
        raise UsageError(f"topic {where.topic} was created again since: its offsets are others")
    bounds = source.bounds([where]).get(where)
    if bounds is None:
        raise UsageError(f"topic {where.topic} has no partition {where.number}")
    if asked.begin < bounds.begin:
        raise UsageError(
            f"offsets {asked.begin} to {bounds.begin - 1} of {where} are no longer in Kafka (the "
            f"topic's retention): begin at --from-offset {bounds.begin}"
        )


def _fetch(source: RecordSource, asked: Range) -> Iterator[tuple[list[Record], int]]:
    """The records of a range in portions, each with the offset up to which all are there."""
    where, at = asked.where, asked.begin
    source.begin(where, at)
    until_s = time.monotonic() + _SILENT_S
    while at < asked.end:
        polled = source.poll(_POLL_S)
        if why := polled.broken.get(where):
            raise UsageError(f"{where} cannot be read from offset {at} on: {why}")
        records = polled.records.get(where, [])
        last = records[-1].offset + 1 if records else at
        reached = min(max(at, last, source.read_to(where) or at), asked.end)
        if reached > at:
            yield [one for one in records if at <= one.offset < reached], reached
            at, until_s = reached, time.monotonic() + _SILENT_S
        elif time.monotonic() > until_s:
            raise Retryable(f"{where}: no record for {_SILENT_S:.0f} s at offset {at}")
