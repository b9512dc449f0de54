"""Servers in containers, where a Docker engine answers that has their images or can get them.

| variable | image, unless it names another one |
|---|---|
| MIRRORPROOF_TEST_KAFKA_IMAGE | apache/kafka:4.1.0; one that takes settings as `KAFKA_…` |
| MIRRORPROOF_TEST_POSTGRES_IMAGE | postgres:18-alpine |
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from tests.servers.kafka import KafkaBroker
from tests.servers.postgres import SETTINGS, PostgresServer
from tests.servers.process import ServerError, free_ports

_KAFKA_IMAGE: Final = "apache/kafka:4.1.0"
_POSTGRES_IMAGE: Final = "postgres:18-alpine"
_START_TIMEOUT_S: Final = 90.0
_KAFKA_SETTINGS: Final = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
}


def kafka_image(environment: Mapping[str, str]) -> str:
    """The image of the broker."""
    return environment.get("MIRRORPROOF_TEST_KAFKA_IMAGE") or _KAFKA_IMAGE


def postgres_image(environment: Mapping[str, str]) -> str:
    """The image of the database server."""
    return environment.get("MIRRORPROOF_TEST_POSTGRES_IMAGE") or _POSTGRES_IMAGE


def engine_has(image: str) -> bool:
    """Whether an engine answers that has an image by now, which it may have to fetch first.

    Without a socket this is known at once, and so it is without a registry.
    """
    import docker

    try:
        client = docker.from_env(timeout=3)
    except docker.errors.DockerException:
        return False
    with contextlib.closing(client):
        return _get(client, image)


def _get(client: Any, image: str) -> bool:
    import docker

    try:
        return bool(client.images.list(image) or client.images.pull(image))
    except (docker.errors.DockerException, OSError):
        return False


@contextlib.contextmanager
def docker_kafka(image: str) -> Iterator[KafkaBroker]:
    """Starts Kafka in a container.

    Raises:
        ServerError: It does not start.
    """
    from testcontainers.core.container import DockerContainer

    _go_without_reaper()
    (port,) = free_ports(1)
    container = DockerContainer(image).with_bind_ports(9092, port)
    host = container.get_docker_client().host()
    settings = _KAFKA_SETTINGS | {"KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{host}:{port}"}
    for name, value in settings.items():
        container.with_env(name, value)
    with container:
        _wait_for_kafka(f"{host}:{port}", container)
        yield KafkaBroker(bootstrap=f"{host}:{port}", kind=f"container {image}", groups=True)


def _wait_for_kafka(bootstrap: str, container: Any) -> None:
    """Waits for an answer in Kafka's protocol: the engine listens on the port before it does."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            KafkaAdminClient(bootstrap_servers=bootstrap).close()
        except (KafkaError, OSError) as error:
            if time.monotonic() > deadline:
                said = b"".join(container.get_logs())[-4000:].decode(errors="replace")
                raise ServerError(f"Kafka at {bootstrap} does not answer:\n{said}") from error
            time.sleep(0.2)
        else:
            return


@contextlib.contextmanager
def docker_postgres(image: str) -> Iterator[PostgresServer]:
    """Starts PostgreSQL in a container."""
    from testcontainers.community.postgres import PostgresContainer

    _go_without_reaper()
    container = PostgresContainer(image, driver="psycopg")
    container.with_command([word for setting in SETTINGS for word in ("-c", setting)])
    with container:
        yield PostgresServer(container.get_connection_url(), f"container {image}")


def _go_without_reaper() -> None:
    """Where its image cannot be had, nobody removes the containers of a test run that is killed."""
    from testcontainers.core.config import testcontainers_config

    if not testcontainers_config.ryuk_disabled and not engine_has(testcontainers_config.ryuk_image):
        testcontainers_config.ryuk_disabled = True
