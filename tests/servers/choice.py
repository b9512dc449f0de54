"""Which broker and which database the tests run on.

In this order: the ones that `MIRRORPROOF_TEST_KAFKA` and `MIRRORPROOF_TEST_POSTGRES` name;
Apache Kafka from its jars when `MIRRORPROOF_TEST_APACHE=1` asks for it; containers where a
Docker engine answers that has or gets the image (`MIRRORPROOF_TEST_DOCKER=0` does without; which
images: `tests/servers/docker.py`); else the servers in the wheels.
A choice that then fails is an error: nothing falls back in silence.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from tests.servers.apache import apache_available, apache_kafka
from tests.servers.docker import (
    docker_kafka,
    docker_postgres,
    engine_has,
    kafka_image,
    postgres_image,
)
from tests.servers.given import given_kafka, given_postgres
from tests.servers.kafka import KafkaBroker
from tests.servers.postgres import PostgresServer, wheel_postgres
from tests.servers.process import ServerError
from tests.servers.tansu import tansu_broker


class Source(enum.Enum):
    """Where a server comes from; the value is how the test header says it."""

    GIVEN = "given by the environment"
    APACHE = "Apache Kafka from Maven Central jars"
    DOCKER = "container (testcontainers)"
    WHEEL = "wheel"


_KAFKA_LABELS: Final = {Source.WHEEL: "Tansu (Kafka protocol) from its wheel; no group tests"}
_POSTGRES_LABELS: Final = {Source.WHEEL: "PostgreSQL 18 from its wheel"}


def choose_kafka(environment: Mapping[str, str], engine_has: Callable[[str], bool]) -> Source:
    """Chooses the broker.

    Args:
        environment: Where the `MIRRORPROOF_TEST_…` variables are read.
        engine_has: Says whether an engine answers and has an image; asked only when that decides.

    Raises:
        ServerError: Apache Kafka is asked for on a machine that cannot start it.
    """
    if environment.get("MIRRORPROOF_TEST_KAFKA"):
        return Source.GIVEN
    if environment.get("MIRRORPROOF_TEST_APACHE") == "1":
        if not apache_available():
            raise ServerError("MIRRORPROOF_TEST_APACHE=1 needs java, mvn and openssl")
        return Source.APACHE
    return _docker_or_wheel(environment, kafka_image(environment), engine_has)


def choose_postgres(environment: Mapping[str, str], engine_has: Callable[[str], bool]) -> Source:
    """Chooses the database server, as `choose_kafka` does the broker."""
    if environment.get("MIRRORPROOF_TEST_POSTGRES"):
        return Source.GIVEN
    return _docker_or_wheel(environment, postgres_image(environment), engine_has)


def start_kafka(environment: Mapping[str, str]) -> AbstractContextManager[KafkaBroker]:
    """The chosen broker, running as long as the context."""
    match choose_kafka(environment, engine_has):
        case Source.GIVEN:
            return nullcontext(given_kafka(environment))
        case Source.APACHE:
            return apache_kafka()
        case Source.DOCKER:
            return docker_kafka(kafka_image(environment))
        case Source.WHEEL:
            return tansu_broker()


def start_postgres(environment: Mapping[str, str]) -> AbstractContextManager[PostgresServer]:
    """The chosen database server, running as long as the context."""
    match choose_postgres(environment, engine_has):
        case Source.GIVEN:
            return nullcontext(given_postgres(environment))
        case Source.DOCKER:
            return docker_postgres(postgres_image(environment))
        case _:
            return wheel_postgres()


def describe(environment: Mapping[str, str]) -> list[str]:
    """The lines of the test header."""
    kafka = choose_kafka(environment, engine_has)
    postgres = choose_postgres(environment, engine_has)
    broker = _KAFKA_LABELS.get(kafka, kafka.value)
    database = _POSTGRES_LABELS.get(postgres, postgres.value)
    if kafka is Source.DOCKER:
        broker = f"{broker} of {kafka_image(environment)}"
    if postgres is Source.DOCKER:
        database = f"{database} of {postgres_image(environment)}"
    if kafka is Source.GIVEN:
        given = given_kafka(environment)
        broker = f"{given.kind} at {given.bootstrap}, {broker}"
    return [f"kafka: {broker}", f"postgresql: {database}", "sqlite: of this Python"]


def _docker_or_wheel(
    environment: Mapping[str, str], image: str, engine_has: Callable[[str], bool]
) -> Source:
    if environment.get("MIRRORPROOF_TEST_DOCKER") != "0" and engine_has(image):
        return Source.DOCKER
    return Source.WHEEL
