"""Servers in containers, where a Docker engine answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from tests.servers.kafka import KafkaBroker
from tests.servers.postgres import PostgresServer

_KAFKA_IMAGE: Final = "confluentinc/cp-kafka:7.9.0"
_POSTGRES_IMAGE: Final = "postgres:18-alpine"


def docker_available() -> bool:
    """Whether an engine answers that has the images or gets them.

    Without a socket this is known at once, and so it is without a registry.
    """
    import docker

    try:
        client = docker.from_env(timeout=3)
    except docker.errors.DockerException:
        return False
    with contextlib.closing(client):
        try:
            return bool(client.ping()) and all(
                _has(client, image) for image in (_KAFKA_IMAGE, _POSTGRES_IMAGE)
            )
        except (docker.errors.DockerException, OSError):
            return False


def _has(client: Any, image: str) -> bool:
    """Whether an image is there, by now.

    Raises:
        DockerException: It is not, and cannot be had.
    """
    return bool(client.images.list(image) or client.images.pull(image))


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
