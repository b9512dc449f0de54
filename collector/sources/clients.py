"""Which Kafka client reads, and how its sources are opened."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from collector.errors import MirrorproofError, UsageError
from collector.settings import KafkaSettings
from collector.sources.protocol import RecordSource

if TYPE_CHECKING:
    from collector.sources.confluent import ConfluentSource
    from collector.sources.kafka import KafkaSource


def kafka_client(name: str) -> type[KafkaSource | ConfluentSource]:
    """The source of records that a setting names.

    Raises:
        UsageError: Its library is not installed.
    """
    if name == "kafka-python":
        from collector.sources.kafka import KafkaSource

        return KafkaSource
    try:
        from collector.sources.confluent import ConfluentSource
    except ModuleNotFoundError as error:
        raise UsageError(
            "kafka.client: confluent needs its library; install mirrorproof[fast]"
        ) from error
    return ConfluentSource


class KafkaOpener:
    """Opens sources of records from Kafka; the first one must find its topics.

    Raises:
        UsageError: The client is not installed.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._source = kafka_client(kafka.client)
        self._has_begun = False

    def __call__(self) -> RecordSource:
        """A source. Raises UsageError, Retryable: it cannot be read, or not yet."""
        source = self._source(self._kafka, client_id=f"mirrorproof-{socket.gethostname()}")
        if not self._has_begun:
            try:
                source.require_topics()
            except MirrorproofError:
                source.close()
                raise
            self._has_begun = True
        return source
