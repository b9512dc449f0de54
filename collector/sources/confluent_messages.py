"""What librdkafka brings with one call: records of several partitions, and events."""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError, Message

from collector.sources.protocol import Partition, Record

PACKED_WRONG: Final = frozenset(
    {
        KafkaError._BAD_MSG,
        KafkaError._BAD_COMPRESSION,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError._UNDERFLOW,
        KafkaError.INVALID_MSG,
    }
)
"""Of records that cannot be unpacked."""
_BREAKS: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


def why_broken(error: KafkaError, offset: int | None) -> str:
    """Why a partition cannot be read on from an offset; empty: this error does not say so."""
    # Where no reset is allowed, a truncated log is told as a reset that was not done.
    if error.code() == KafkaError._LOG_TRUNCATION or "truncation" in (error.str() or ""):
        return f"the log was truncated, below {offset}"
    return f"the log no longer holds offset {offset}" if error.code() in _BREAKS else ""


def sort_messages(messages: list[Message]) -> tuple[dict[Partition, list[Record]], list[Message]]:
    """Records by partition, and the events among them."""
    found: dict[Partition, list[Record]] = {}
    events: list[Message] = []
    topic, number = "", -1
    records: list[Record] = []
    for message in messages:
        if message.error() is not None:
            events.append(message)
            continue
        if message.partition() != number or message.topic() != topic:
            topic, number = message.topic() or "", message.partition() or 0
            records = found.setdefault(Partition(topic, number), [])
        timestamp_ms = message.timestamp()[1]
        timestamp_us = timestamp_ms * 1000 if timestamp_ms > 0 else 0
        record = Record(message.offset() or 0, timestamp_us, message.value() or b"")
        key, headers = message.key(), message.headers()
        if key or headers:
            record.key, record.headers = key or b"", _headers(headers)
        records.append(record)
    return found, events


def _headers(given: Any) -> tuple[tuple[str, bytes], ...]:
    """As kafka-python has them; `given` is a list of pairs, or None."""
    return tuple((name, value or b"") for name, value in given or ())
