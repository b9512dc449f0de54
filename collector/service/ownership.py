"""Which partitions this process may write about, and where it reads them on.

A partition that the source announces is first claimed in the database, which fences whoever had
it, then compared with what the broker holds, and only then begun. One that cannot be read on
without a loss is stopped, in the database and with its reason, until an operator clears it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import Clock
from collector.db import pieces, positions
from collector.db.engine import as_our_error, reading, writing
from collector.db.frozen import end_frozen
from collector.db.positions import Claim
from collector.envelopes.joining import HeldPiece
from collector.errors import Fenced, Locked
from collector.log import get_logger
from collector.service.loss import loss
from collector.sources.protocol import Bounds, Partition, RecordSource

_LOOK_AGAIN_S: Final = 3.0
"""How often to look whether a partition that is set aside may be claimed again."""
_SUSPECT: Final = 2
"""So many owners that vanished in a row may have died of what they read."""
_CAREFUL: Final = 30_000
"""Offsets: somewhere in what is read ahead of the last commit they died."""
_QUIET_US: Final = 60_000_000
"""An owner that wrote nothing for so long is gone; a living one writes every few seconds."""

OnBegin = Callable[[Partition, list[HeldPiece], int], object]


class Held(msgspec.Struct):
    """A partition that is ours.

    Attributes:
        claim: The right to write about it.
        read_next: The offset to read next; runs ahead of what is written.
        leader_epoch: The broker's, of the record before; None: not known.
        moved_s: When it brought something last, monotonic seconds.
        record_us: Time of the last record read, µs since the epoch; 0: none yet, or it has none.
        careful_to: Up to where each record batch is read alone; 0: it is read as usual.
        unclean: How many owners vanished before us.
        attempt: The offset that is tried alone, and how often it was.
    """

    claim: Claim
    read_next: int
    moved_s: float
    leader_epoch: int | None = None
    record_us: int = 0
    careful_to: int = 0
    unclean: int = 0
    attempt: tuple[int | None, int] = (None, 0)


class Ownership:
    """The partitions of one process.

    Args:
        engine: The database.
        clock: Where the time comes from.
        owner: Name of this process.
        from_latest: Where to begin in a partition that was never read: at its end, not its start.
        can_be_careful: Whether a partition can be read one record batch at a time.
        on_begin: Called with each partition that is read from now on, the pieces of lines that
            wait in it, and the time.

    Attributes:
        held: Our partitions.
        stopped: Partitions that we would read, and why they are not read.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        owner: str,
        *,
        from_latest: bool = False,
        can_be_careful: bool = False,
        on_begin: OnBegin = lambda _partition, _pieces, _now_us: None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._owner = owner
        self._from_latest = from_latest
        self._can_be_careful = can_be_careful
        self._on_begin = on_begin
        self._waiting: list[Partition] = []
        self._broken: dict[Partition, str] = {}
        self._aside: dict[Partition, float] = {}
        self._released: list[Claim] = []
        self._log = get_logger(component="ownership", owner=owner)
        self.held: Final[dict[Partition, Held]] = {}
        self.stopped: Final[dict[Partition, str]] = {}

    def announce(
        self,
        assigned: Iterable[Partition],
        revoked: Iterable[Partition],
        broken: dict[Partition, str],
    ) -> None:
        """Takes note of what the source says; nothing is written here."""
        for partition in revoked:
            if partition in self.held:
                self._released.append(self.held[partition].claim)
            self.forget(partition)
        self._waiting += [found for found in assigned if found not in self._waiting]
        self._broken.update({p: why for p, why in broken.items() if p in self.held})

    def is_due(self) -> bool:
        """Whether `settle`, or careful reading, has anything to do."""
        return bool(
            self._released
            or self._broken
            or self._waiting
            or any(self._clock.monotonic() >= due_s for due_s in self._aside.values())
            or any(held.careful_to for held in self.held.values())
        )

    def forget(self, partition: Partition) -> None:
        """A partition is not ours any more; nothing may be written about it."""
        self.held.pop(partition, None)
        self._broken.pop(partition, None)
        self._aside.pop(partition, None)
        self.stopped.pop(partition, None)
        self._waiting = [found for found in self._waiting if found != partition]

    def set_aside(self, partition: Partition, source: RecordSource, reason: str = "") -> None:
        """Stops reading a partition; now and then it is looked at again.

        Args:
            partition: Which one.
            source: Where it is read.
            reason: Why it is stopped; empty: it is somebody else's.
        """
        source.halt(partition)
        self.forget(partition)
        if reason:
            self.stopped[partition] = reason
        self._aside[partition] = self._clock.monotonic() + _LOOK_AGAIN_S

    def begin_again(self, partition: Partition, source: RecordSource) -> None:
        """Has one of our partitions claimed and read anew, from the database's offset."""
        source.halt(partition)
        self.forget(partition)
        self._waiting.append(partition)

    def settle(self, source: RecordSource) -> None:
        """Stops what is broken, claims what is announced and begins to read it.

        Raises:
            Retryable, UsageError: The database or the broker; call it again later.
        """
        self._release()
        for partition, reason in tuple(self._broken.items()):
            self.stop(partition, reason, source)
        self._look_again()
        if not self._waiting:
            return
        bounds = source.bounds(self._waiting)
        for partition in tuple(self._waiting):
            found = bounds.get(partition)
            if found is not None:
                self._claim_or_unlock(partition, found, source)

    def stop(self, partition: Partition, reason: str, source: RecordSource) -> None:
        """Stops one of our partitions for good, with its reason. Raises Retryable, UsageError."""
        held = self.held.get(partition)
        if held is not None:
            self._log.error("partition_stopped", partition=str(partition), reason=reason)
            try:
                with self._writing() as connection:
                    now_us = self._clock.now_us()
                    positions.stop(connection, held.claim, reason, now_us)
            except Fenced:
                self._log.warning("partition_fenced", partition=str(partition))
                reason = ""
        self.set_aside(partition, source, reason)

    def _release(self) -> None:
        """Gives back what was revoked: one that we took by mistake is not waited for.

        Whoever wakes up after a rebalance may claim what is another one's by now.
        """
        if self._released:
            with self._writing() as connection:
                for claim in sorted(self._released, key=lambda one: one.partition):
                    positions.give_back(connection, claim)
            self._released.clear()

    def _claim_or_unlock(self, partition: Partition, bounds: Bounds, source: RecordSource) -> None:
        try:
            self._claim(partition, bounds, source)
        except Locked:
            with self._writing() as connection:
                frozen = end_frozen(connection)
            if frozen:
                self._log.warning("frozen_writers_ended", sessions=frozen)
            raise

    def _claim(self, partition: Partition, bounds: Bounds, source: RecordSource) -> None:
        topic_id = source.topic_id(partition.topic)
        with self._writing() as connection:
            now_us = self._clock.now_us()
            if not positions.is_known(connection, partition):
                begin = bounds.end if self._from_latest else bounds.begin
                self._log.info("partition_begun", partition=str(partition), offset=begin)
                positions.create(connection, partition, begin, topic_id, now_us)
            claim = positions.claim(connection, partition, self._owner, now_us)
            waiting = pieces.waiting(connection, partition, claim.next_offset)
        if claim.stopped:
            self._log.error("partition_is_stopped", partition=str(partition), reason=claim.stopped)
            self.set_aside(partition, source, claim.stopped)
            return
        now_s = self._clock.monotonic()
        self.held[partition] = Held(claim, claim.next_offset, now_s, claim.leader_epoch)
        reason = loss(claim, bounds, topic_id)
        if reason:
            self.stop(partition, reason, source)
            return
        self._waiting.remove(partition)
        self._on_begin(partition, waiting, now_us)
        self._begin(self.held[partition], source)
        self._log.info("partition_claimed", partition=str(partition), offset=claim.next_offset)

    def _begin(self, held: Held, source: RecordSource) -> None:
        """Begins to read; carefully where the owners before us may have died of it."""
        claim = held.claim
        is_suspect = claim.unclean >= _SUSPECT or claim.attempt[0] is not None
        if not (self._can_be_careful and is_suspect):
            source.begin(claim.partition, claim.next_offset, claim.leader_epoch)
            return
        held.careful_to = claim.next_offset + _CAREFUL
        held.unclean, held.attempt = claim.unclean, claim.attempt
        self._log.warning(
            "partition_read_carefully",
            partition=str(claim.partition),
            offset=claim.next_offset,
            unclean=claim.unclean,
        )

    def suspect(self) -> None:
        """Has our partitions read carefully from the next claim on.

        Raises:
            Retryable, UsageError: The database.
        """
        with self._writing() as connection:
            positions.suspect(connection, [held.claim for held in self.held.values()])

    def _look_again(self) -> None:
        now_s = self._clock.monotonic()
        for partition, due_s in tuple(self._aside.items()):
            if now_s < due_s:
                continue
            self._aside[partition] = now_s + _LOOK_AGAIN_S
            quiet_us = self._clock.now_us() - _QUIET_US
            with self._reading() as connection:
                free = positions.is_free(connection, partition, self._owner, quiet_us)
            if free:
                self.forget(partition)
                self._waiting.append(partition)

    def give_back(self) -> None:
        """Leaves all partitions to others. Raises Retryable, UsageError: the database."""
        with self._writing() as connection:
            for partition in sorted(self.held):
                positions.give_back(connection, self.held[partition].claim)
        self.clear()

    def clear(self) -> None:
        """Forgets everything, for a source that is replaced."""
        for partition in (*self.held, *self._aside, *self._waiting):
            self.forget(partition)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with writing(self._engine) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with reading(self._engine) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
