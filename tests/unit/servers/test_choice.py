"""Which servers the tests run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import choice
from tests.servers.choice import Source, choose_kafka, choose_postgres
from tests.servers.docker import postgres_image
from tests.servers.given import given_kafka, kafka_variables
from tests.servers.kafka import KafkaBroker, Scram, Tls
from tests.servers.process import ServerError


def _engine_answers(_image: str) -> bool:
    return True


def _no_engine(_image: str) -> bool:
    return False


def _never_asked(_image: str) -> bool:
    raise AssertionError("asked for Docker although that decides nothing")


def test_named_servers_come_first() -> None:
    """Servers that the environment names are used, whatever else there is."""
    environment = {
        "MIRRORPROOF_TEST_KAFKA": "broker:9092",
        "MIRRORPROOF_TEST_POSTGRES": "postgresql://db/postgres",
        "MIRRORPROOF_TEST_APACHE": "1",
    }

    assert choose_kafka(environment, _never_asked) is Source.GIVEN
    assert choose_postgres(environment, _never_asked) is Source.GIVEN


def test_docker_comes_before_the_wheels() -> None:
    """An engine that answers is used, unless it is declined."""
    declined = {"MIRRORPROOF_TEST_DOCKER": "0"}

    assert choose_kafka({}, _engine_answers) is Source.DOCKER
    assert choose_postgres({}, _engine_answers) is Source.DOCKER
    assert choose_kafka(declined, _never_asked) is Source.WHEEL
    assert choose_postgres(declined, _never_asked) is Source.WHEEL


def test_images_are_chosen_by_settings() -> None:
    """Each server comes in the image that its variable names, where the engine has that one."""
    mine = {"MIRRORPROOF_TEST_POSTGRES_IMAGE": "mine/postgres"}

    def has_mine(image: str) -> bool:
        return image == "mine/postgres"

    assert choose_postgres(mine, has_mine) is Source.DOCKER
    assert choose_postgres({}, has_mine) is Source.WHEEL
    assert choose_kafka(mine, has_mine) is Source.WHEEL
    assert (postgres_image(mine), postgres_image({})) == ("mine/postgres", "postgres:18-alpine")


def test_wheels_are_what_is_always_there() -> None:
    """A fresh machine uses the servers in the wheels."""
    assert choose_kafka({}, _no_engine) is Source.WHEEL
    assert choose_postgres({}, _no_engine) is Source.WHEEL


def test_apache_kafka_is_used_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for Apache Kafka beats a Docker engine that happens to run."""
    monkeypatch.setattr(choice, "apache_available", lambda: True)

    assert choose_kafka({"MIRRORPROOF_TEST_APACHE": "1"}, _never_asked) is Source.APACHE


def test_apache_kafka_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other broker takes its place in silence."""
    monkeypatch.setattr(choice, "apache_available", lambda: False)

    with pytest.raises(ServerError, match="java"):
        choose_kafka({"MIRRORPROOF_TEST_APACHE": "1"}, _never_asked)


def test_variables_name_a_broker_with_all_its_listeners() -> None:
    """Another process that reads the variables knows the same broker."""
    broker = KafkaBroker(
        bootstrap="127.0.0.1:1",
        kind="Apache Kafka 9",
        groups=True,
        tls=Tls(bootstrap="127.0.0.1:2", ca_file=Path("/ca.pem")),
        scram=Scram(bootstrap="127.0.0.1:3", username="reader", password="s:e@cret"),
    )

    assert given_kafka(kafka_variables(broker)) == broker
