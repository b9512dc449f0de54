"""What tests see of a Kafka broker, whichever runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

_SEND_TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A listener that speaks TLS; its certificate is for localhost and 127.0.0.1.

    Attributes:
        bootstrap: `host:port`.
        ca_file: The authority that signed the certificate, PEM.
    """

    bootstrap: str
    ca_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTls(Tls):
    """A TLS listener that asks for a client's certificate, and one that it takes.

    Attributes:
        cert_file: The client's certificate, PEM.
        key_file: Its key, PEM.
    """

    cert_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Scram:
    """A listener that asks for a user and password: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.

    Attributes:
        bootstrap: `host:port`, SASL_PLAINTEXT.
        bootstrap_tls: The same over TLS, with the certificate of `Tls`; None: there is none.
    """

    bootstrap: str
    username: str
    password: str = field(repr=False)
    bootstrap_tls: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaBroker:
    """A running broker.

    Attributes:
        bootstrap: `host:port` of the plain listener.
        kind: Which one it is, for people.
        groups: Whether consumer groups behave as Apache Kafka's: joins within a second,
            rebalances. Where False, a first join takes 23 s; use static assignment.
        tls: The TLS listener, None when there is none.
        scram: The listener with passwords, None when there is none.
        mutual_tls: The listener that asks for certificates, None when there is none.
    """

    bootstrap: str
    kind: str
    groups: bool
    tls: Tls | None = None
    scram: Scram | None = None
    mutual_tls: MutualTls | None = None

    def create_topic(self, partitions: int = 1, **configs: str) -> str:
        """Creates a topic of a new name and returns the name.

        Args:
            partitions: How many.
            configs: Topic settings, with `_` for `.`: `retention_ms="1000"`.
        """
        name = f"test-{uuid.uuid4().hex[:12]}"
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        finally:
            admin.close()
        return name

    def send(self, topic: str, values: Iterable[bytes | None], partition: int = 0) -> None:
        """Sends records to one partition, in order; they are stored when this returns."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=5)
        try:
            sent = [producer.send(topic, value, partition=partition) for value in values]
            producer.flush(timeout=_SEND_TIMEOUT_S)
            for record in sent:
                record.get(timeout=0)  # type: ignore[no-untyped-call]  # raises what went wrong
        finally:
            producer.close()

    def delete_topic(self, name: str) -> None:
        """Deletes a topic."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.delete_topics([name])
        finally:
            admin.close()
