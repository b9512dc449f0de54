"""Connects to Kafka, and says in one line why that failed.

What it has to know about kafka-python 3.0: a consumer that cannot connect raises a bare time-out
whatever the reason was, and leaves its thread and sockets behind. The reason is taken from the
client's own log, and the client is closed by us.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaConfigurationError, KafkaError, KafkaTimeoutError
from kafka.net.compat import KafkaNetClient

from collector.errors import MirrorproofError, Refused, Retryable, UsageError
from collector.settings import KafkaSettings

_PARTITION_FETCH_BYTES: Final = 4 * 1024 * 1024
"""Of one partition at a time: some 5000 lines, one transaction."""
_FETCH_BYTES: Final = 32 * 1024 * 1024
_METADATA_MS: Final = 10_000
"""How old the client's knowledge of topics may be: one that is created again shows in it."""
_WRONG_SETTING: Final = ("Authentication", "Authorization", "UnsupportedSaslMechanism", "SslError")
"""Parts of the names of errors that trying again does not mend."""


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """What a client of kafka-python needs to reach the brokers; it may hold a password."""
    check_files(settings)
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "security_protocol": settings.security_protocol,
        "ssl_cafile": settings.ca_file and str(settings.ca_file),
        "ssl_certfile": settings.cert_file and str(settings.cert_file),
        "ssl_keyfile": settings.key_file and str(settings.key_file),
        "bootstrap_timeout_ms": settings.connect_timeout_ms,
        "reconnect_backoff_max_ms": 5_000,
        "metrics_enabled": False,
    }
    if settings.sasl_mechanism:
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.username
        options["sasl_plain_password"] = settings.secret()
    return options


def check_files(settings: KafkaSettings) -> None:
    """Reads certificates once: clients do so only when they connect, and say just "time-out".

    Raises:
        UsageError: One cannot be read.
    """
    for name in ("ca_file", "cert_file", "key_file"):
        path: Path | None = getattr(settings, name)
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise UsageError(f"kafka.{name}: cannot read {path}: {error.strerror}") from error


class _Complaints(logging.Handler):
    """Remembers why connections failed: the client's own error is just a time-out."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found = ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        # Refused credentials are the reason; the disconnects that follow are not.
        if "connection" in message and not any(part in self.found for part in _WRONG_SETTING):
            self.found = message.partition("failed: ")[2].partition(" (backoff")[0] or self.found


@contextlib.contextmanager
def _complaints() -> Iterator[_Complaints]:
    handler, logger = _Complaints(), logging.getLogger("kafka.net")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


def connect(settings: KafkaSettings, group: str | None, client_id: str) -> KafkaConsumer:
    """A consumer that knows its brokers, and has no topics yet.

    Args:
        settings: How to reach the brokers.
        group: Consumer group; None: static assignment.
        client_id: Names us in the brokers' logs.

    Raises:
        Refused: Wrong credentials.
        UsageError: Files that cannot be read.
        Retryable: No broker answers.
    """
    clients: list[KafkaNetClient] = []

    def remember(**options: Any) -> KafkaNetClient:
        clients.append(KafkaNetClient(**options))
        return clients[-1]

    where = ",".join(settings.bootstrap_servers)
    options = connection_options(settings)
    options["auto_offset_reset"] = "none"  # missing in the type stubs, as is the next
    options["kafka_client"] = remember
    with _complaints() as why:
        try:
            return KafkaConsumer(
                **options,
                client_id=client_id,
                group_id=group,
                enable_auto_commit=False,
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                partition_assignment_strategy=[CooperativeStickyAssignor],
                session_timeout_ms=int(settings.session_timeout_s * 1000),
                heartbeat_interval_ms=min(3_000, int(settings.session_timeout_s * 250)),
                max_poll_records=settings.batch_records,
                metadata_max_age_ms=_METADATA_MS,
                max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
                fetch_max_bytes=_FETCH_BYTES,
            )
        except (KafkaError, OSError) as error:
            for client in clients:
                client.close()
            # Its frames hold sockets that the client forgot to close.
            error.with_traceback(None)
            if isinstance(error, KafkaTimeoutError):
                found = why.found or str(error)
                raise _no_connection(where, found, settings.sasl_mechanism) from error
            raise as_our_error(error, where) from error


def _no_connection(where: str, why: str, sasl_mechanism: str | None) -> MirrorproofError:
    message = f"cannot reach Kafka at {where}: {' '.join(why.split())}"
    if sasl_mechanism and ("disconnected" in why or "TimedOut" in why):
        # The broker's refusal and the end of the connection arrive together, in any order; of tries
        # that were all refused late the client knows only that time is over.
        message += "; are username, password and sasl_mechanism right?"
    wrong = any(part in why for part in _WRONG_SETTING)
    return Refused(message) if wrong else Retryable(message)


def as_our_error(error: Exception, where: str) -> MirrorproofError:
    """An error of the client in one line: `UsageError`, `Refused` when only other settings help."""
    name = type(error).__name__
    message = f"Kafka at {where}: {name}: {' '.join(str(error).split())}"
    if isinstance(error, KafkaConfigurationError | FileNotFoundError | PermissionError):
        return UsageError(message)
    wrong = any(part in name for part in _WRONG_SETTING)
    return Refused(message) if wrong else Retryable(message)
