"""Connects to Kafka with librdkafka, and says in one line why that failed.

What it has to know: making a consumer connects to nobody, and a question that nobody answers
ends in a bare time-out. The reasons are events, which come when the consumer is polled.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from collector.errors import MirrorproofError, Refused, Retryable, UsageError
from collector.settings import KafkaSettings
from collector.sources.kafka_connection import check_files

_PARTITION_FETCH_BYTES: Final = 4 * 1024 * 1024
_FETCH_BYTES: Final = 32 * 1024 * 1024
_QUEUED_KIB: Final = 32 * 1024
"""Fetched ahead and not yet asked for, in KiB. The default is twice as much."""
_QUEUED_RECORDS: Final = 50_000
LOGGER: Final = logging.getLogger("kafka.librdkafka")
"""Below `kafka`, which `collector.log` keeps quiet: our own events say once what is wrong."""
_64: Final = 2**64
_WRONG_SETTING: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError._INVALID_ARG,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
"""What trying again does not mend."""


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """What librdkafka needs to reach the brokers; it may hold a password.

    Raises:
        UsageError: A file cannot be read.
    """
    check_files(settings)
    options = {
        "bootstrap.servers": ",".join(settings.bootstrap_servers),
        "security.protocol": settings.security_protocol,
        "ssl.ca.location": settings.ca_file and str(settings.ca_file),
        "ssl.certificate.location": settings.cert_file and str(settings.cert_file),
        "ssl.key.location": settings.key_file and str(settings.key_file),
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.username if settings.sasl_mechanism else None,
        "sasl.password": settings.secret() if settings.sasl_mechanism else None,
        "socket.connection.setup.timeout.ms": max(1_000, settings.connect_timeout_ms),
        "reconnect.backoff.max.ms": 5_000,
        "enable.metrics.push": False,
    }
    return {name: value for name, value in options.items() if value is not None}


class Complaints:
    """Remembers why connections failed; the weightiest reason stays until it is taken."""

    def __init__(self) -> None:
        self._found: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Called by librdkafka while it is polled."""
        known = self._found
        if known is None or (is_wrong_setting(error) and not is_wrong_setting(known)):
            self._found = error
        elif known.code() == KafkaError._ALL_BROKERS_DOWN:
            self._found = error  # anything says more than that

    def take(self) -> KafkaError | None:
        """The reason, once."""
        found, self._found = self._found, None
        return found


def connect(settings: KafkaSettings, client_id: str, complaints: Complaints) -> Consumer:
    """A consumer that knows its brokers, and has no topics yet.

    Raises:
        Refused: Wrong credentials.
        UsageError: Files that cannot be read, options that librdkafka does not take.
        Retryable: No broker answers.
    """
    options = {
        **connection_options(settings),
        "client.id": client_id,
        "group.id": settings.group,  # always asked for; without a subscription it means nothing
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": int(settings.session_timeout_s * 1000),
        "heartbeat.interval.ms": min(3_000, int(settings.session_timeout_s * 250)),
        "enable.partition.eof": True,  # it tells where the log ends behind what readers never see
        "check.crcs": True,
        "max.partition.fetch.bytes": _PARTITION_FETCH_BYTES,
        "fetch.max.bytes": _FETCH_BYTES,
        "fetch.queue.backoff.ms": 20,
        "queued.max.messages.kbytes": _QUEUED_KIB,
        "queued.min.messages": _QUEUED_RECORDS,
        "error_cb": complaints,
        "on_commit": _ignore,
    }
    where = ",".join(settings.bootstrap_servers)
    try:
        consumer = Consumer(options, logger=LOGGER)
    except KafkaException as error:
        # Its options may hold a secret.
        raise UsageError(f"kafka.client confluent: {_words(error.args[0])}") from None
    try:
        consumer.list_topics(settings.topics[0], timeout=settings.connect_timeout_ms / 1000)
    except KafkaException as error:
        consumer.poll(0)  # brings the reasons
        found = complaints.take() or error.args[0]
        consumer.close()
        raise _no_connection(where, found, settings.sasl_mechanism) from error
    return consumer


class TopicIds:
    """Asks brokers for the identity of topics; connects when it is asked first."""

    def __init__(self, settings: KafkaSettings, timeout_s: float) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._admin: AdminClient | None = None

    def ask(self, topic: str) -> str | None:
        """A topic's identity as kafka-python writes it; None: it has none.

        Raises:
            KafkaException: No broker answers.
        """
        if self._admin is None:
            self._admin = AdminClient(connection_options(self._settings), logger=LOGGER)
        asked = self._admin.describe_topics(
            TopicCollection([topic]), request_timeout=self._timeout_s
        )
        found = asked[topic].result().topic_id
        high, low = found.get_most_significant_bits(), found.get_least_significant_bits()
        number = (high % _64) << 64 | low % _64
        return str(uuid.UUID(int=number)) if number else None


def _ignore(_error: object, _offsets: object) -> None:
    """The hint may fail: the database has the offsets."""


def _no_connection(where: str, found: KafkaError, sasl_mechanism: str | None) -> MirrorproofError:
    message = f"cannot reach Kafka at {where}: {_words(found)}"
    if sasl_mechanism and not is_wrong_setting(found) and "isconnected" in message:
        message += "; are username, password and sasl_mechanism right?"
    return Refused(message) if is_wrong_setting(found) else Retryable(message)


def is_wrong_setting(error: KafkaError) -> bool:
    """Whether only other settings help."""
    return error.code() in _WRONG_SETTING


def as_our_error(error: KafkaError, where: str) -> MirrorproofError:
    """An error of librdkafka in one line: `Refused` when only other settings help."""
    message = f"Kafka at {where}: {error.name()}: {_words(error)}"
    return Refused(message) if is_wrong_setting(error) else Retryable(message)


def _words(error: KafkaError) -> str:
    return " ".join(error.str().split())
