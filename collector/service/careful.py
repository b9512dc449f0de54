"""Reads on where a collector died, or its client failed, one producer batch at a time.

What kills a process while it is unpacked kills the next one as well. So every unit is written
down before it is unpacked, as tried once more, and crossed out when that came to an end. One that
was tried three times in vain is passed over: a gap, counted and loud. In ordinary reading none of
this costs anything; see `Ownership` for when it begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import Clock
from collector.db import positions
from collector.db.engine import as_our_error, writing
from collector.db.quarantine import Gap, insert_gap
from collector.errors import Fenced, UsageError
from collector.log import get_logger
from collector.reader import Reader
from collector.service.ownership import Held, Ownership
from collector.service.pending import Pending
from collector.service.watcher import Watcher
from collector.sources.protocol import Partition, Record, RecordSource
from collector.sources.unit import Unit, UnitReader

MOST_TRIES: Final = 3
_TURN_S: Final = 1.0
"""So long other partitions wait."""


class CarefulReading:
    """Reads the partitions that `Ownership` holds with a `careful_to`.

    Args:
        engine: The database.
        clock: Where the time comes from.
        ownership: Our partitions.
        pending: Writes what is read.
        reader: Makes batches of records.
        watcher: What is looked for.
        open_units: Opens a reader of units. Raises UsageError, Retryable.

    Attributes:
        passed_over: How many records were given up so far.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        ownership: Ownership,
        pending: Pending,
        reader: Reader,
        watcher: Watcher,
        open_units: Callable[[Partition], UnitReader],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._ownership = ownership
        self._pending = pending
        self._reader = reader
        self._watcher = watcher
        self._open_units = open_units
        self._open: dict[Partition, UnitReader] = {}
        self._log = get_logger(component="careful")
        self.passed_over = 0

    def run(self, source: RecordSource) -> None:
        """Goes on for a moment with each partition that is read so.

        Raises:
            Retryable, UsageError: The database or the brokers; call it again later.
        """
        held = self._ownership.held
        for partition in self._open.keys() - held.keys():
            self._close(partition)
        for partition, found in tuple(held.items()):
            until_s = self._clock.monotonic() + _TURN_S
            while partition in held and found.careful_to and self._clock.monotonic() < until_s:
                try:
                    self._step(partition, found, source)
                except Fenced:
                    self._log.warning("partition_fenced", partition=str(partition))
                    self._ownership.set_aside(partition, source)

    def close(self) -> None:
        """Closes all connections."""
        for partition in tuple(self._open):
            self._close(partition)

    def _close(self, partition: Partition) -> None:
        self._open.pop(partition).close()

    def _step(self, partition: Partition, held: Held, source: RecordSource) -> None:
        """Reads one unit, or passes it over, or is done."""
        if self._pending:
            self._pending.write(source)
            return
        held.moved_s = self._clock.monotonic()
        if partition not in self._open:
            self._open[partition] = self._open_units(partition)
        unit = None
        if held.read_next < held.careful_to:
            unit = self._open[partition].look(held.read_next)
        if unit is None:
            self._done(partition, held, source)
            return
        known, tries = held.attempt
        if known != unit.from_offset:
            tries = 0
        if unit.is_large:  # has most likely ended those who vanished before us
            tries = max(tries, held.unclean)
        if tries >= MOST_TRIES:
            self._pass_over(partition, held, unit, tries)
            return
        self._note(held, unit.from_offset, tries + 1)
        records = self._unpack(partition, unit, source)
        if records is not None:
            self._take(partition, held, unit, records, source)

    def _unpack(
        self, partition: Partition, unit: Unit, source: RecordSource
    ) -> list[Record] | None:
        """The records of a unit; None: it failed once more, or its partition was stopped."""
        try:
            return unit.unpack()
        except UsageError as error:
            self._ownership.stop(partition, f"offset {unit.from_offset}: {error}", source)
        except MemoryError:
            raise  # of which nobody recovers for certain: the next process begins with all of it
        except Exception as error:
            why = f"{type(error).__name__}: {error}".rstrip(": ")
            place = {"partition": str(partition), "offset": unit.from_offset}
            self._log.warning("unit_not_unpacked", **place, error=why)
        return None

    def _take(
        self,
        partition: Partition,
        held: Held,
        unit: Unit,
        records: list[Record],
        source: RecordSource,
    ) -> None:
        now_us, watch = self._clock.now_us(), self._watcher.watch
        batch = self._reader.read(partition, held.read_next, records, watch, now_us)
        if not batch.stop_reason:
            batch.to_offset = unit.to_offset
        batch.leader_epoch = held.leader_epoch = unit.leader_epoch
        # Whoever dies from now on does not die of these records.
        self._note(held, None, 0)
        self._pending.add(batch)
        held.read_next = batch.to_offset
        if records:
            held.record_us = records[-1].timestamp_us
        self._pending.write(source)

    def _pass_over(self, partition: Partition, held: Held, unit: Unit, tries: int) -> None:
        size = "becomes huge when unpacked" if unit.is_large else "cannot be unpacked"
        reason = f"gap: {size}, or ends the process; tried {tries} times"
        gap = Gap(unit.from_offset, unit.to_offset, reason, unit.since_us, unit.until_us)
        now_us = self._clock.now_us()
        try:
            with writing(self._engine) as connection:
                span = (gap.from_offset, gap.to_offset)
                positions.advance(connection, held.claim, span, None, now_us, unit.leader_epoch)
                insert_gap(connection, partition, gap, now_us)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        held.read_next, held.leader_epoch = unit.to_offset, unit.leader_epoch
        held.attempt = (None, 0)
        self.passed_over += unit.to_offset - unit.from_offset
        self._log.error(
            "records_passed_over",
            partition=str(partition),
            from_offset=gap.from_offset,
            to_offset=gap.to_offset,
            records=gap.to_offset - gap.from_offset,
            reason=reason,
        )

    def _note(self, held: Held, offset: int | None, tries: int) -> None:
        """Writes down what is tried now. Raises Fenced, Retryable, UsageError."""
        try:
            with writing(self._engine) as connection:
                positions.note_attempt(connection, held.claim, offset, tries)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        held.attempt = (offset, tries)

    def _done(self, partition: Partition, held: Held, source: RecordSource) -> None:
        self._close(partition)
        self._note(held, None, 0)
        held.careful_to, held.unclean = 0, 0
        self._log.info("partition_read_freely", partition=str(partition), offset=held.read_next)
        source.begin(partition, held.read_next, held.leader_epoch)
