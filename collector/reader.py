"""Reads the records of a partition into batches. Pure, but for what it remembers of a partition.

It remembers how much poison came in a row, and the pieces of lines that wait for their rest; both
begin anew with `forget`, at the offset that the database has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from collector.batch import SIGN_US, Batch, Seen, Watch, Wild, poison_of
from collector.envelopes import paths
from collector.envelopes.found import Found, Heartbeat, Piece, RawLine, shipper_time_us
from collector.envelopes.joining import Given, HeldPiece, Joiner, Place, identity_of, stream_of
from collector.envelopes.unwrap import unwrap
from collector.formats.own_pod import writer_of
from collector.formats.parse import Ignored, Quarantined, ReadLine, parse_line
from collector.hosts import HostTable
from collector.observation import observe
from collector.poison import PoisonLimits, Toll
from collector.records import AccessLog, Identity
from collector.redact import scrub
from collector.sources.protocol import Partition, Record

MAX_SKEW_US: Final = 60_000_000
"""An end time further than this after its record's time is a wrong clock, not the future."""
MAX_LATE_US: Final = 600_000_000
"""An end time further than this before it is a wrong clock, or a shipper that is far behind."""
_MOST_WILD: Final = 1_000
"""Pods that one batch names for their clocks."""
_NUL: Final = "holds a NUL, which no proxy writes: the log was damaged"


class Reader:
    """Reads records into batches.

    Args:
        secret: Key of the request keys, shared by all replicas.
        containers: Containers whose lines count; empty: all.
        identity_of: What is known of the writers of a partition's lines, without envelopes.
        limits: When poison stops a partition.
        read_line: Reads a line, of all formats in force.
    """

    def __init__(
        self,
        secret: bytes,
        containers: Iterable[str],
        identity_of: Callable[[Partition], Identity],
        limits: PoisonLimits,
        read_line: ReadLine = parse_line,
    ) -> None:
        self._parse = read_line
        self._secret = secret
        named = frozenset(containers)
        # Lines of an unknown container always count.
        self._containers = named | {""} if named else named
        self._identity_of = identity_of
        self._limits = limits
        self._tolls: dict[Partition, Toll] = {}
        self._joiners: dict[Partition, Joiner] = {}

    def forget(self, partition: Partition, held: Iterable[HeldPiece] = (), now_us: int = 0) -> None:
        """Begins anew with a partition that is read again: counts no poison, knows these pieces.

        Args:
            partition: Which one.
            held: The pieces that wait in it, in the order of their offsets.
            now_us: Wall clock.
        """
        self._tolls.pop(partition, None)
        self._joiners[partition] = Joiner(held, now_us, self._parse)

    def read(
        self, partition: Partition, offset: int, records: list[Record], watch: Watch, now_us: int
    ) -> Batch:
        """One batch of these records, which follow each other.

        It ends early, with a `stop_reason`, when too much poison came for too long.

        Args:
            partition: Whose records.
            offset: The first one to read; records may begin later, where Kafka has gaps.
            records: In the order of their offsets.
            watch: What is looked for.
            now_us: Wall clock.
        """
        batch = Batch(partition, offset, offset, watch.policy_version_id)
        joiner = self._joiners.setdefault(partition, Joiner(read_line=self._parse))
        toll = self._tolls.setdefault(partition, Toll())
        moment = _Moment(watch.hosts, joiner, self._identity_of(partition), 0, now_us)
        counted = poison = 0
        for record in records:
            before = batch.read
            time_us = record.timestamp_us
            moment.record_us = time_us if 0 < time_us < now_us else now_us
            moment.is_dated = time_us > 0
            self._read_record(batch, record, moment)
            batch.records += 1
            batch.to_offset = record.offset + 1
            if len(batch.poison) == poison:
                continue
            toll.add_good(before - counted, self._limits)
            counted = batch.read
            # Pieces that are given up now are of other records.
            bad = min(len(batch.poison) - poison, counted - before)
            poison = len(batch.poison)
            why = toll.add_bad(counted - before, bad, self._limits)
            if why:
                batch.stop_reason = f"{why}; the last one: {batch.poison[-1].reason}"
                break
        toll.add_good(batch.read - counted, self._limits)
        _close(batch, joiner, moment.record_us, now_us)
        if batch.stop_reason:
            del self._joiners[partition]  # whoever reads on begins with what is written
        return batch

    def expire(self, partition: Partition, offset: int, watch: Watch, now_us: int) -> Batch | None:
        """A batch without records that gives up pieces whose rest did not come; None: no need.

        Args:
            partition: Which one.
            offset: The next one to read.
            watch: What is looked for.
            now_us: Wall clock.
        """
        joiner = self._joiners.get(partition)
        if not joiner:  # there is none, or it holds nothing: nearly always
            return None
        batch = Batch(partition, offset, offset, watch.policy_version_id)
        _close(batch, joiner, 0, now_us)
        return batch if batch.unheld else None

    def _read_record(self, batch: Batch, record: Record, moment: _Moment) -> None:
        identity, held = moment.identity, moment.joiner.held
        if record.headers or record.key:
            identity = paths.of_record(identity, record.key, record.headers)
        found = unwrap(record.value, identity)
        batch.read += len(found)
        for item, one in enumerate(found):
            if isinstance(one, RawLine):
                if held and (joined := moment.joiner.join(one)) is not None:
                    _give_up(batch, joined.given)
                    line, log = joined.line, joined.log
                else:
                    line, log = one, self._parse(one.text)
                self._read_line(batch, record.offset, item, line, log, moment)
            else:
                place, source = (record.offset, item), (record.value, identity)
                self._read_other(batch, place, one, source, moment)

    def _read_other(
        self,
        batch: Batch,
        place: Place,
        found: Found,
        source: tuple[bytes, Identity],
        moment: _Moment,
    ) -> None:
        if isinstance(found, Piece):
            self._read_piece(batch, place, found, moment)
        elif isinstance(found, Heartbeat):
            batch.ignored += 1
            batch.heartbeats += 1
            alive_us = min(found.time_us or moment.record_us, moment.record_us)
            _see_node(batch, found.identity, alive_us)
        elif isinstance(found, Quarantined):
            value, who = source
            batch.poison.append(poison_of(value, found.reason, *place, moment.record_us, who))

    def _read_piece(self, batch: Batch, place: Place, piece: Piece, moment: _Moment) -> None:
        stream = stream_of(piece)
        if piece.unsure and not moment.joiner.holds(stream):
            log = self._parse(piece.text)
            if isinstance(log, AccessLog):
                line = RawLine(piece.text, piece.identity, piece.time, piece.stream)
                self._read_line(batch, *place, line, log, moment)
                return
        batch.ignored += 1
        if self._containers and piece.identity.container not in self._containers:
            return
        time = "" if piece.time is None else scrub(str(piece.time))
        held = HeldPiece(*place, stream, time, piece.text, moment.record_us)
        _give_up(batch, moment.joiner.hold(held, moment.now_us))
        if piece.identity.node:
            _see_node(batch, piece.identity, moment.alive_us(piece.time))

    def _read_line(
        self,
        batch: Batch,
        offset: int,
        item: int,
        line: RawLine,
        log: AccessLog | Ignored | Quarantined,
        moment: _Moment,
    ) -> None:
        pod, text = line.identity, line.text
        if self._containers and pod.container not in self._containers:
            batch.ignored += 1
        elif isinstance(log, AccessLog):
            if log.pod:
                pod = writer_of(log, pod)
            _see_time(batch, pod, log.start_us + log.duration_ms * 1000, moment)
            observation = observe(log, text, pod, moment.hosts, self._secret)
            if observation is None:
                batch.ignored += 1
            elif "\0" in text:
                value = text.encode("utf-8", "replace")
                batch.poison.append(poison_of(value, _NUL, offset, item, moment.record_us, pod))
            else:
                batch.seen.append(Seen(offset, item, observation, text, moment.record_us))
        elif isinstance(log, Ignored):
            batch.ignored += 1
            if pod.node:
                _see_node(batch, pod, moment.alive_us(line.time))
        else:
            value = line.text.encode("utf-8", "replace")
            batch.poison.append(poison_of(value, log.reason, offset, item, moment.record_us, pod))


class _Moment(msgspec.Struct, gc=False):
    """What is the same for all lines of a batch, and the time of the record that is read."""

    hosts: HostTable
    joiner: Joiner
    identity: Identity
    record_us: int
    now_us: int
    is_dated: bool = False
    """Whether the record has a time."""

    def alive_us(self, written: object) -> int:
        """When a line showed that its log is alive: by the shipper's time of it."""
        return min(shipper_time_us(written) or self.record_us, self.record_us)


def _close(batch: Batch, joiner: Joiner, record_us: int, now_us: int) -> None:
    """What becomes of pieces at the end of a batch."""
    if joiner:
        _give_up(batch, joiner.expire(record_us, now_us))
    batch.held, batch.unheld = joiner.changes()


def _give_up(batch: Batch, given: Iterable[Given]) -> None:
    """Pieces that counted as ignored count as quarantined."""
    for one in given:
        value, piece = one.piece.text.encode("utf-8", "replace"), one.piece
        where = *piece.place, piece.record_us, identity_of(piece.stream)
        batch.ignored -= 1
        batch.poison.append(poison_of(value, one.why.reason, *where))


def _see_time(batch: Batch, pod: Identity, end_us: int, moment: _Moment) -> None:
    """Event time goes on, and with it what is known to be complete of that node's logs.

    Never beyond the record's time: a line ended before it was sent, whatever its pod's clock says.
    """
    record_us = moment.record_us
    if end_us > record_us + MAX_SKEW_US:
        batch.skewed += 1
        _name_wild(batch, pod, end_us, record_us)
        return
    if end_us < record_us - MAX_LATE_US and moment.is_dated:
        _name_wild(batch, pod, end_us, record_us)
    end_us = min(end_us, record_us)
    watermark_us = batch.watermark_us
    if watermark_us is None or end_us > watermark_us:
        batch.watermark_us = end_us
    _see_node(batch, pod, end_us)


def _name_wild(batch: Batch, pod: Identity, end_us: int, record_us: int) -> None:
    """Notes whose clock is too far from the broker's."""
    name, off_us = (pod.cluster, pod.namespace, pod.pod), end_us - record_us
    known = batch.wild.get(name)
    if known is not None:
        known.lines += 1
        known.first_us = min(known.first_us, record_us)
        known.last_us = max(known.last_us, record_us)
        known.off_us = off_us
    elif pod.pod and len(batch.wild) < _MOST_WILD:
        batch.wild[name] = Wild(1, record_us, record_us, off_us)


def _see_node(batch: Batch, identity: Identity, alive_us: int) -> None:
    if not identity.node:
        return
    key, nodes = (identity.cluster, identity.node), batch.nodes
    if alive_us > nodes.get(key, 0):
        nodes[key] = alive_us
    signs = batch.signs.get(key)
    if signs is None:
        signs = batch.signs[key] = set()
    signs.add(alive_us // SIGN_US)
