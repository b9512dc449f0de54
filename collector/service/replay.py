"""Reads quarantined lines and gaps again, after an upgrade or with other settings.

A quarantined line keeps only how it begins, so its record is fetched from Kafka again where it is
still there, and told by its hash; else what is stored is read, where that is all of it. What can
be read is stored once, and taken out of quarantine in the same transaction. Its batch covers no
offsets: it is of the partition's present position, so that lines which come late are settled.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from contextlib import ExitStack
from enum import StrEnum
from hashlib import sha256
from typing import Final

from sqlalchemy import Engine

from collector.batch import Batch, Watch
from collector.clock import Clock
from collector.db.engine import reading
from collector.db.policies import watched_hosts
from collector.db.quarantine import identity_of
from collector.db.quarantined import Entry
from collector.db.resume import went_back
from collector.db.writes import Writer
from collector.errors import Fenced, MirrorproofError, RowRefused
from collector.formats.parse import Parsed
from collector.hosts import HostTable
from collector.log import get_logger
from collector.poison import ENDLESS
from collector.records import Identity
from collector.redact import Redactor
from collector.service.operator import one_partition
from collector.settings import Settings
from collector.settings.reader import line_parser, make_reader
from collector.sources.protocol import Partition, Record, RecordSource

MOST_RECORDS: Final = 50_000
"""Of one gap: they are read into memory, and written in one transaction."""
_FETCH_S: Final = 10.0
_POLL_S: Final = 0.5


class Outcome(StrEnum):
    """What became of a quarantined line or gap."""

    STORED = "stored"
    IGNORED = "ignored"
    UNREADABLE = "still unreadable"
    GONE = "gone"
    DONE = "replayed before"


class Replay:
    """Replays entries of quarantine. Use it as a context: it keeps connections open.

    Args:
        settings: All settings; those that lines are read by are those of now.
        engine: The database.
        clock: Where the time comes from.
    """

    def __init__(self, settings: Settings, engine: Engine, clock: Clock) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._writer = Writer(engine, Redactor(settings.collector.keep_query))
        self._reader = make_reader(settings.collector, engine, ENDLESS, self._parse)
        self._known = make_reader(settings.collector, engine, ENDLESS, self._parse, self._who)
        self._read_line = line_parser(settings.collector).parse
        self._texts: set[bytes] = set()
        self._identity = Identity()
        self._open = ExitStack()
        self._sources: dict[Partition, RecordSource | None] = {}
        self._log = get_logger(component="replay")
        with reading(engine) as connection:
            found = watched_hosts(connection, clock.now_us())
        self._watch = Watch(HostTable(found.hosts), found.policy_version_id)

    def __enter__(self) -> Replay:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes all connections."""
        self._open.close()

    def _parse(self, line: str) -> Parsed:
        self._texts.add(sha256(line.encode("utf-8", "replace")).digest())
        return self._read_line(line)

    def _who(self, _: Partition) -> Identity:
        return self._identity

    def replay(self, entry: Entry) -> Outcome:
        """Reads one entry again, and stores what can be read.

        Raises:
            Retryable, UsageError: The database, or the brokers.
        """
        if entry.replayed_us is not None:
            return Outcome.DONE
        batch = self._from_kafka(entry) or self._from_store(entry)
        if batch is None:
            return Outcome.GONE
        if any(poison.sha256 == entry.sha256 for poison in batch.poison):
            return Outcome.UNREADABLE
        batch.records, batch.held, batch.unheld = 0, [], []
        batch.replayed = entry.records
        try:
            self._writer.replay(batch, entry.id, self._clock.now_us())
        except Fenced:
            return Outcome.DONE
        except RowRefused as error:
            self._log.warning("row_refused", entry=entry.id, error=str(error))
            return Outcome.UNREADABLE
        return Outcome.STORED if batch.stored else Outcome.IGNORED

    def _from_kafka(self, entry: Entry) -> Batch | None:
        """What the entry's records hold; None: they are not there, or are others."""
        if entry.records > MOST_RECORDS:
            return None
        records = self._fetch(entry)
        if not records:
            return None
        self._texts.clear()
        batch = self._read(entry, records, known=False)
        if entry.is_gap or sha256(records[0].value).digest() == entry.sha256:
            return batch
        return self._only(batch, entry)

    def _only(self, batch: Batch, entry: Entry) -> Batch | None:
        """Of a record, the one line that the entry is about."""
        batch.seen = [
            seen
            for seen in batch.seen
            if sha256(seen.text.encode("utf-8", "replace")).digest() == entry.sha256
        ]
        batch.seen = sorted(batch.seen, key=lambda seen: seen.item != entry.item)[:1]
        batch.poison = [poison for poison in batch.poison if poison.sha256 == entry.sha256]
        if not (batch.seen or batch.poison or entry.sha256 in self._texts):
            return None
        batch.read, batch.heartbeats, batch.skewed = 1, 0, 0
        batch.ignored = 1 - batch.stored - batch.quarantined
        return batch

    def _from_store(self, entry: Entry) -> Batch | None:
        """What the stored text says; None: it is not all of it, or redacted."""
        if entry.is_gap or sha256(entry.prefix).digest() != entry.sha256:
            return None
        self._identity = identity_of(entry.identity)
        record_us = entry.record_us or 0
        return self._read(entry, [Record(entry.record_offset, record_us, entry.prefix)], known=True)

    def _read(self, entry: Entry, records: list[Record], *, known: bool) -> Batch:
        reader = self._known if known else self._reader
        reader.forget(entry.where)
        now_us = self._clock.now_us()
        return reader.read(entry.where, records[0].offset, records, self._watch, now_us)

    def _fetch(self, entry: Entry) -> list[Record]:
        """The entry's records, all of them; empty: they are not there any more."""
        where, begin, end = entry.where, entry.record_offset, entry.record_offset + entry.records
        source = self._source(where)
        if source is None or (entry.is_gap and self._is_another_log(entry, source)):
            return []
        bounds = source.bounds([where]).get(where)
        if bounds is None or begin < bounds.begin:
            return []
        source.begin(where, begin)
        found: list[Record] = []
        until_s = time.monotonic() + _FETCH_S
        while time.monotonic() < until_s:
            polled = source.poll(_POLL_S)
            found += polled.records.get(where, [])
            if polled.broken or (found and found[-1].offset >= end - 1):
                break
        return [record for record in found if begin <= record.offset < end]

    def _is_another_log(self, entry: Entry, source: RecordSource) -> bool:
        """Whether other records have the gap's offsets by now; a gap has no hash to tell."""
        with reading(self._engine) as connection:
            return went_back(connection, entry.where, entry.at_us, source.topic_id(entry.topic))

    def _source(self, where: Partition) -> RecordSource | None:
        if where.topic.startswith("file:"):
            return None
        if where not in self._sources:
            self._sources[where] = None
            with contextlib.suppress(MirrorproofError):
                opened = one_partition(self._settings.kafka, where)
                self._sources[where] = self._open.enter_context(opened)
            if self._sources[where] is None:
                self._log.warning("kafka_not_asked", partition=str(where))
        return self._sources[where]


def tally(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How often each outcome was, also those that were not."""
    found = list(outcomes)
    return {outcome.value: found.count(outcome) for outcome in Outcome}
