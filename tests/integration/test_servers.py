"""The servers that all other tests rely on behave as those tests expect."""

from __future__ import annotations

from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import create_engine, inspect, text

from collector.db.engine import open_engine
from collector.db.migrate import require_schema
from tests.servers.kafka import KafkaBroker, Scram, Tls

pytestmark = pytest.mark.integration


def _read(topic: str, count: int, **settings: Any) -> list[bytes]:
    consumer = KafkaConsumer(auto_offset_reset="earliest", consumer_timeout_ms=20_000, **settings)
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [next(consumer).value for _ in range(count)]
    finally:
        consumer.close()


def test_broker_keeps_what_was_sent(kafka: KafkaBroker) -> None:
    """A topic gives back the records it was sent, in order."""
    topic = kafka.create_topic(partitions=2)

    kafka.send(topic, [b"one", b"two"])

    assert _read(topic, 2, bootstrap_servers=kafka.bootstrap) == [b"one", b"two"]


def test_topics_have_names_of_their_own(kafka: KafkaBroker) -> None:
    """Two tests never share a topic."""
    assert kafka.create_topic() != kafka.create_topic()


def test_tls_listener_proves_who_it_is(kafka: KafkaBroker, kafka_tls: Tls) -> None:
    """A client that trusts only the test authority reads through the TLS listener."""
    topic = kafka.create_topic()
    kafka.send(topic, [b"secret"])

    values = _read(
        topic,
        1,
        bootstrap_servers=kafka_tls.bootstrap,
        security_protocol="SSL",
        ssl_cafile=str(kafka_tls.ca_file),
    )

    assert values == [b"secret"]


def test_scram_listener_knows_its_user(kafka: KafkaBroker, kafka_scram: Scram) -> None:
    """A client with the password reads through the SCRAM listener."""
    topic = kafka.create_topic()
    kafka.send(topic, [b"guarded"])

    values = _read(
        topic,
        1,
        bootstrap_servers=kafka_scram.bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=kafka_scram.username,
        sasl_plain_password=kafka_scram.password,
    )

    assert values == [b"guarded"]


def test_group_join_is_quick(group_kafka: KafkaBroker) -> None:
    """A first member of a consumer group gets its partitions at once."""
    topic = group_kafka.create_topic(partitions=3)
    consumer = KafkaConsumer(topic, bootstrap_servers=group_kafka.bootstrap, group_id=topic)
    try:
        consumer.poll(timeout_ms=10_000, max_records=1)

        assert len(consumer.assignment()) == 3
    finally:
        consumer.close()


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_has_its_own_postgres_database(postgres_url: str, attempt: int) -> None:
    """What one test writes no other test sees."""
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
        connection.execute(text("CREATE TABLE mine (id int)"))
    engine.dispose()


def test_migrated_database_is_ready_to_use(migrated_database_url: str) -> None:
    """The template that tests get copies of has the newest schema."""
    engine = open_engine(migrated_database_url)

    require_schema(engine)

    engine.dispose()


def test_empty_database_is_empty(database_url: str) -> None:
    """A test of migrations starts from nothing."""
    engine = open_engine(database_url)

    assert inspect(engine).get_table_names() == []

    engine.dispose()
