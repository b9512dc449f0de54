"""What an operator's commands ask of Kafka: one partition, for a moment, in no group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from collector.errors import UsageError
from collector.settings import KafkaSettings
from collector.sources.clients import kafka_client
from collector.sources.protocol import Bounds, Partition, RecordSource

_CLIENT: Final = "mirrorproof-operator"
_LOOK_S: Final = 1.0


@contextmanager
def one_partition(settings: KafkaSettings, where: Partition) -> Iterator[RecordSource]:
    """A source that may read one partition.

    Raises:
        UsageError, Retryable: It cannot be reached, or its topic does not exist.
    """
    alone = settings.model_copy(update={"topics": (where.topic,), "partitions": (where.number,)})
    source = kafka_client(settings.client)(alone, client_id=_CLIENT)
    try:
        source.require_topics()
        yield source
    finally:
        source.close()


def look(settings: KafkaSettings, where: Partition) -> tuple[Bounds, str | None]:
    """What a partition holds now, and its topic's identity. Raises UsageError, Retryable."""
    with one_partition(settings, where) as source:
        bounds = source.bounds([where]).get(where)
        if bounds is None:
            raise UsageError(f"topic {where.topic} has no partition {where.number}")
        # Some brokers name the beginning of the last batch as the end: read on from there.
        source.begin(where, bounds.end)
        source.poll(_LOOK_S)
        bounds = source.bounds([where]).get(where, bounds)
        return bounds, source.topic_id(where.topic)
