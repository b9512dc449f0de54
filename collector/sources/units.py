"""Reads a partition one producer batch at a time, for what may kill whoever unpacks it.

A record batch is fetched packed, and its header read: which offsets it has and, where its codec
tells, how large it becomes. Only then, in a step of its own, it is unpacked. Next to the usual
client, as that unpacks ahead and without a bound.
"""

from __future__ import annotations

import contextlib
import struct
import time
import zlib
from typing import Any, Final

import lz4.frame
import zstandard
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError, UnsupportedCodecError
from kafka.record.memory_records import MemoryRecords

from collector.errors import Retryable, UsageError
from collector.settings import KafkaSettings
from collector.sources.kafka import record_of
from collector.sources.kafka_connection import as_our_error, connection_options
from collector.sources.protocol import Partition, Record, known_epoch
from collector.sources.unit import LARGE_BYTES, Unit

_CHUNK: Final = 1024 * 1024
_FETCH_TIMEOUT_S: Final = 10.0
_ASK_TIMEOUT_MS: Final = 5_000
_MOST_WAIT_MS: Final = 50
"""For an answer that there is nothing to read."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEAD: Final = 16


class KafkaUnits:
    """See `UnitReader`.

    Args:
        settings: How to reach the brokers.
        partition: Whose units.

    Raises:
        UsageError, Retryable: The brokers cannot be reached.
    """

    def __init__(self, settings: KafkaSettings, partition: Partition) -> None:
        self._where = ",".join(settings.bootstrap_servers)
        self._found = TopicPartition(*partition)
        options = connection_options(settings) | {"auto_offset_reset": "none"}
        try:
            self._consumer = KafkaConsumer(
                **options,
                client_id="mirrorproof-units",
                group_id=None,
                enable_auto_commit=False,
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                # Brokers send one batch all the same, and no more.
                max_partition_fetch_bytes=1,
                fetch_max_bytes=1,
                fetch_max_wait_ms=_MOST_WAIT_MS,
                # With sessions brokers do not answer about a partition that has nothing new.
                enable_incremental_fetch_sessions=False,
            )
            self._consumer.assign([self._found])
            self._consumer.partitions_for_topic(partition.topic)
        except (KafkaError, OSError) as error:
            raise as_our_error(error, self._where) from error

    def look(self, offset: int) -> Unit | None:
        """See `UnitReader`."""
        try:
            fetched = self._fetch(offset)
        except (KafkaError, OSError) as error:
            raise as_our_error(error, self._where) from error
        batches = MemoryRecords(fetched.records or b"")
        for batch in batches:
            if batch.next_offset > offset:
                return _KafkaUnit(offset, batch, fetched.aborted_transactions or ())
        return None

    def _fetch(self, offset: int) -> Any:
        """What a broker sends from an offset on, packed. The client has no public way to it."""
        fetcher = self._consumer._fetcher  # type: ignore[attr-defined]
        fetcher._completed_fetches.clear()
        self._consumer.seek(self._found, offset)
        deadline_s = time.monotonic() + _FETCH_TIMEOUT_S
        while time.monotonic() < deadline_s:
            fetcher.send_fetches()
            while fetcher._completed_fetches:
                done = fetcher._completed_fetches.popleft()
                if done.fetched_offset == offset and not done.partition_data.error_code:
                    return done.partition_data
            time.sleep(0.002)
        raise Retryable(f"Kafka at {self._where}: no answer about {self._found.topic}")

    def close(self) -> None:
        """See `UnitReader`."""
        with contextlib.suppress(KafkaError, RuntimeError, OSError):
            self._consumer.close(autocommit=False, timeout_ms=_ASK_TIMEOUT_MS)


class _KafkaUnit:
    """See `Unit`: one record batch as the producer made it."""

    def __init__(self, offset: int, batch: Any, aborted: Any) -> None:
        self._batch = batch
        self._is_data = not batch.is_control_batch and not any(
            batch.is_transactional
            and one.producer_id == batch.producer_id
            and one.first_offset <= batch.last_offset
            for one in aborted
        )
        self.from_offset: int = offset
        self.to_offset: int = batch.next_offset
        self.since_us = _in_us(batch.first_timestamp)
        self.until_us = _in_us(batch.max_timestamp)
        self.leader_epoch = known_epoch(getattr(batch, "leader_epoch", None))  # none in old ones
        packed = memoryview(batch._buffer)[batch._pos :]
        self.is_large = unpacks_beyond(batch.compression_type, bytes(packed), LARGE_BYTES)

    def unpack(self) -> list[Record]:
        """See `Unit`."""
        if not self._is_data:
            return []
        if not self._batch.validate_crc():
            raise CorruptRecordError("its checksum is wrong")
        try:
            return [record_of(raw) for raw in self._batch if raw.offset >= self.from_offset]
        except UnsupportedCodecError as error:
            # All that follows will be so: nothing to pass over, but a library to install.
            raise UsageError(f"the records cannot be unpacked: {error}") from error


def _in_us(time_ms: int) -> int | None:
    return time_ms * 1000 if time_ms > 0 else None


def unpacks_beyond(codec: int, packed: bytes, limit: int) -> bool:
    """Whether bytes become more than a limit when they are unpacked; never holds them all.

    Args:
        codec: Kafka's number: 0 none, 1 gzip, 2 Snappy, 3 LZ4, 4 Zstandard. Of others, and of what
            cannot be unpacked, it is unknown: False.
        packed: The records of a batch.
        limit: In bytes.
    """
    try:
        if codec == 1:
            return _streams_beyond(zlib.decompressobj(_GZIP), packed, limit)
        if codec == 2:
            return _snappy_bytes(packed) > limit
        if codec == 3:
            return _lz4_beyond(packed, limit)
        if codec == 4:
            return _zstd_beyond(packed, limit)
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError, struct.error, IndexError):
        return False
    return codec == 0 and len(packed) > limit


def _streams_beyond(unpacker: Any, packed: bytes, limit: int) -> bool:
    total, rest = 0, packed
    while rest and total <= limit and not unpacker.eof:
        total += len(unpacker.decompress(rest, _CHUNK))
        rest = unpacker.unconsumed_tail
    return total > limit


def _lz4_beyond(packed: bytes, limit: int) -> bool:
    unpacker, total = lz4.frame.LZ4FrameDecompressor(), 0
    rest = packed
    while total <= limit and not unpacker.eof:
        found = unpacker.decompress(rest, max_length=_CHUNK)
        total, rest = total + len(found), b""
        if not found and unpacker.needs_input:
            break
    return total > limit


def _zstd_beyond(packed: bytes, limit: int) -> bool:
    total = 0
    with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
        while total <= limit and (found := reader.read(_CHUNK)):
            total += len(found)
    return total > limit


def _snappy_bytes(packed: bytes) -> int:
    """Every Snappy block says its size first; Java's clients write a row of blocks."""
    if not packed.startswith(_XERIAL):
        return _varint(packed, 0)
    total, at = 0, _XERIAL_HEAD
    while at < len(packed):
        (size,) = struct.unpack_from("!i", packed, at)
        total += _varint(packed, at + 4)
        at += 4 + max(size, 0)
    return total


def _varint(data: bytes, at: int) -> int:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        at, shift = at + 1, shift + 7
