"""Which broker and which database the tests run on.

In this order: the ones that `MIRRORPROOF_TEST_KAFKA` and `MIRRORPROOF_TEST_POSTGRES` name;
Apache Kafka from its jars when `MIRRORPROOF_TEST_APACHE=1` asks for it; containers where a
Docker engine answers that has the images or gets them (`MIRRORPROOF_TEST_DOCKER=0` does without);
else the servers in the wheels.
A choice that then fails is an error: nothing falls back in silence.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from tests.servers.apache import apache_available, apache_kafka
from tests.servers.docker import docker_available, docker_kafka, docker_postgres
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


def choose_kafka(environment: Mapping[str, str], docker: Callable[[], bool]) -> Source:
    """Chooses the broker.

    Args:
        environment: Where the `MIRRORPROOF_TEST_…` variables are read.
        docker: Says whether an engine answers; asked only when that decides.

    Raises:
        ServerError: Apache Kafka is asked for on a machine that cannot start it.
    """
    if environment.get("MIRRORPROOF_TEST_KAFKA"):
        return Source.GIVEN
    if environment.get("MIRRORPROOF_TEST_APACHE") == "1":
        if not apache_available():
            raise ServerError("MIRRORPROOF_TEST_APACHE=1 needs java, mvn and openssl")
        return Source.APACHE
    return _docker_or_wheel(environment, docker)


def choose_postgres(environment: Mapping[str, str], docker: Callable[[], bool]) -> Source:
    """Chooses the database server, as `choose_kafka` does the broker."""
    if environment.get("MIRRORPROOF_TEST_POSTGRES"):
        return Source.GIVEN
    return _docker_or_wheel(environment, docker)


def start_kafka(environment: Mapping[str, str]) -> AbstractContextManager[KafkaBroker]:
    """The chosen broker, running as long as the context."""
    match choose_kafka(environment, docker_available):
        case Source.GIVEN:
            return nullcontext(given_kafka(environment))
        case Source.APACHE:
            return apache_kafka()
        case Source.DOCKER:
            return docker_kafka()
        case Source.WHEEL:
            return tansu_broker()


def start_postgres(environment: Mapping[str, str]) -> AbstractContextManager[PostgresServer]:
    """The chosen database server, running as long as the context."""
    match choose_postgres(environment, docker_available):
        case Source.GIVEN:
            return nullcontext(given_postgres(environment))
        case Source.DOCKER:
            return docker_postgres()
        case _:
            return wheel_postgres()


def describe(environment: Mapping[str, str]) -> list[str]:
    """The lines of the test header."""
    kafka = choose_kafka(environment, docker_available)
    postgres = choose_postgres(environment, docker_available)
    broker = _KAFKA_LABELS.get(kafka, kafka.value)
    database = _POSTGRES_LABELS.get(postgres, postgres.value)
    if kafka is Source.GIVEN:
        given = given_kafka(environment)
        broker = f"{given.kind} at {given.bootstrap}, {broker}"
    return [f"kafka: {broker}", f"postgresql: {database}", "sqlite: of this Python"]


def _docker_or_wheel(environment: Mapping[str, str], docker: Callable[[], bool]) -> Source:
    if environment.get("MIRRORPROOF_TEST_DOCKER") != "0" and docker():
        return Source.DOCKER
    return Source.WHEEL
