"""Servers in containers, where a Docker engine answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from tests.servers.kafka import KafkaBroker
from tests.servers.postgres import PostgresServer

_KAFKA_IMAGE: Final = "confluentinc/cp-kafka:7.9.0"
_POSTGRES_IMAGE: Final = "postgres:18-alpine"


def docker_available() -> bool:
    """Whether an engine answers; without a socket this is known at once."""
    import docker

    try:
        client = docker.from_env(timeout=3)
    except docker.errors.DockerException:
        return False
    with contextlib.closing(client):
        try:
            return bool(client.ping())
        except (docker.errors.DockerException, OSError):
            return False


@contextlib.contextmanager
def docker_kafka() -> Iterator[KafkaBroker]:
    """Starts Kafka in a container."""
    from testcontainers.community.kafka import KafkaContainer

    with KafkaContainer(_KAFKA_IMAGE).with_kraft() as container:
        yield KafkaBroker(
            bootstrap=container.get_bootstrap_server(), kind=f"Docker {_KAFKA_IMAGE}", groups=True
        )


@contextlib.contextmanager
def docker_postgres() -> Iterator[PostgresServer]:
    """Starts PostgreSQL in a container."""
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(_POSTGRES_IMAGE, driver="psycopg") as container:
        yield PostgresServer(container.get_connection_url(), f"Docker {_POSTGRES_IMAGE}")
