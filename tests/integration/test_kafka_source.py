"""What only a real broker can show: groups, rebalances, listeners, topics that come and go."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from collector.errors import Retryable, UsageError
from collector.settings import KafkaSettings
from collector.sources.clients import kafka_client
from collector.sources.confluent import ConfluentSource
from collector.sources.kafka import KafkaSource
from collector.sources.protocol import Partition, Polled
from tests.servers.kafka import KafkaBroker, MutualTls, Scram, Tls
from tests.servers.process import free_ports

pytestmark = pytest.mark.integration

DEADLINE_S = 180.0
SOON_MS = 3000


REPOSITORY = Path(__file__).parents[2]
REFUSAL = """
import json, sys
from collector.errors import MirrorproofError
from collector.sources.clients import kafka_client
from collector.settings import KafkaSettings
settings = KafkaSettings(**json.loads(sys.argv[1]))
try:
    kafka_client(settings.client)(settings)
except MirrorproofError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


DEFAULTS: dict[str, object] = {}
"""Settings that no test says itself: which client reads."""


@pytest.fixture(autouse=True, params=["kafka-python", "confluent"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each client in turn."""
    monkeypatch.setitem(DEFAULTS, "client", request.param)
    return str(request.param)


def refusal(**settings: object) -> tuple[str, str]:
    """Kind and message of the error of a source that cannot connect.

    In a process of its own: the client leaves sockets to the garbage collector.
    """
    command = [sys.executable, "-c", REFUSAL, json.dumps(DEFAULTS | settings, default=str)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True)
    kind, message = json.loads(done.stdout)
    assert "\n" not in message
    return kind, message


@contextmanager
def opened(**given: object) -> Iterator[KafkaSource | ConfluentSource]:
    """A source that is closed at the end.

    A member of a group knows its topics before it joins, as that of a collector does: kafka-python
    may hang in the second rebalance otherwise, the first having found no partitions.
    """
    settings = KafkaSettings(**(DEFAULTS | given))  # type: ignore[arg-type]
    source = kafka_client(settings.client)(settings)
    try:
        if "group" in given:
            source.require_topics()
        yield source
    finally:
        source.close()


def produce(broker: KafkaBroker, topic: str, partition: int = 0, count: int = 3) -> None:
    """Appends numbered records."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for number in range(count):
        producer.send(topic, str(number).encode(), partition=partition).get(timeout=30)
    producer.close()


def until(
    done: Callable[[], bool], *sources: KafkaSource | ConfluentSource, seen: list[Polled]
) -> None:
    """Polls all sources in turn until something is true; keeps what they brought."""
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, seen
        seen.extend(source.poll(0.1) for source in sources)


def owned(seen: list[Polled]) -> set[Partition]:
    """What is assigned after these polls."""
    found: set[Partition] = set()
    for polled in seen:
        found = (found - set(polled.revoked)) | set(polled.assigned)
    return found


@contextmanager
def polled(*sources: KafkaSource | ConfluentSource) -> Iterator[list[list[Polled]]]:
    """Polls each source on a thread of its own, as processes do; what each brought, so far.

    Two members of kafka-python that one thread polls in turn may rebalance without an end.
    """
    stop, seen = Event(), [list[Polled]() for _ in sources]

    def poll(source: KafkaSource | ConfluentSource, found: list[Polled]) -> None:
        while not stop.is_set():
            found.append(source.poll(0.1))

    with ThreadPoolExecutor(len(sources)) as pool:
        polling = [pool.submit(poll, *one) for one in zip(sources, seen, strict=True)]
        try:
            yield seen
        finally:
            stop.set()
    for one in polling:
        one.result()


def soon(done: Callable[[], bool], seen: list[list[Polled]]) -> None:
    """Waits until something is true of what is polled meanwhile."""
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)


def test_a_group_shares_partitions_and_takes_them_over(group_kafka: KafkaBroker) -> None:
    """A second member gets half; when it leaves, the first one gets all again."""
    topic = group_kafka.create_topic(4)
    settings = {"bootstrap_servers": (group_kafka.bootstrap,), "topics": (topic,), "group": topic}
    with ExitStack() as stack:
        first = stack.enter_context(opened(**settings))
        of_first: list[Polled] = []
        until(lambda: len(owned(of_first)) == 4, first, seen=of_first)

        second = stack.enter_context(opened(**settings))
        with polled(first, second) as (now, of_second):
            soon(lambda: len(owned(of_first + now)) == len(owned(of_second)) == 2, [now, of_second])
            assert not owned(of_first + now) & owned(of_second)

        second.close()
        of_first += now
        until(lambda: len(owned(of_first)) == 4, first, seen=of_first)


def test_a_partition_kept_through_a_rebalance_goes_on(group_kafka: KafkaBroker) -> None:
    """Records flow on from partitions that stay, without another `begin`.

    On a slow machine the members may swap what they have in one rebalance more, so that none stays.
    """
    assert any(_flows_on(group_kafka) for _ in range(3))


def _flows_on(broker: KafkaBroker) -> bool:
    """Whether records come from the partition that stays; False: none did stay."""
    topic = broker.create_topic(2)
    settings = {"bootstrap_servers": (broker.bootstrap,), "topics": (topic,), "group": topic}
    with ExitStack() as stack:
        first = stack.enter_context(opened(**settings))
        before: list[Polled] = []
        until(lambda: len(owned(before)) == 2, first, seen=before)
        for partition in owned(before):
            first.begin(partition, 0)
        second = stack.enter_context(opened(**settings))
        with polled(first, second) as (of_first, of_second):
            both = [of_first, of_second]
            soon(lambda: len(owned(before + of_first)) == len(owned(of_second)) == 1, both)
            (kept,) = owned(before + of_first)
            produce(broker, topic, kept.number)

            def has_come() -> bool:
                return sum(len(one.records.get(kept, [])) for one in of_first) == 3

            def was_taken() -> bool:
                """And perhaps given back, which takes another `begin`."""
                return any(kept in one.revoked for one in of_first)

            soon(lambda: has_come() or was_taken(), both)
            return has_come() and not was_taken()


def committed(broker: KafkaBroker, group: str, partition: Partition) -> int | None:
    """What lag tools see of a group."""
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        found = admin.list_group_offsets(group)[group]
    finally:
        admin.close()
    return {Partition(*at): told.offset for at, told in found.items()}.get(partition)


def test_the_hint_is_what_lag_tools_see(group_kafka: KafkaBroker) -> None:
    """And it decides nothing: the next member begins where it is told."""
    topic = group_kafka.create_topic()
    settings = {"bootstrap_servers": (group_kafka.bootstrap,), "topics": (topic,), "group": topic}
    produce(group_kafka, topic)
    partition = Partition(topic, 0)
    with opened(**settings) as source:
        seen: list[Polled] = []
        until(lambda: len(owned(seen)) == 1, source, seen=seen)
        source.begin(partition, 0)
        until(lambda: any(polled.records for polled in seen), source, seen=seen)
        source.commit_hint({partition: 3})

        until(lambda: committed(group_kafka, topic, partition) == 3, source, seen=seen)

    with opened(**settings) as source:
        again: list[Polled] = []
        until(lambda: len(owned(again)) == 1, source, seen=again)
        source.begin(partition, 1)
        until(lambda: any(polled.records for polled in again), source, seen=again)
        assert next(p for p in again if p.records).records[partition][0].offset == 1


def read_one(source: KafkaSource | ConfluentSource, topic: str) -> bytes:
    """The first value of a topic."""
    seen: list[Polled] = []
    until(lambda: bool(owned(seen)), source, seen=seen)
    source.begin(Partition(topic, 0), 0)
    until(lambda: any(polled.records for polled in seen), source, seen=seen)
    return next(p for p in seen if p.records).records[Partition(topic, 0)][0].value


def test_records_come_over_tls(kafka: KafkaBroker, kafka_tls: Tls) -> None:
    """With the authority that signed the broker's certificate."""
    topic = kafka.create_topic()
    produce(kafka, topic)
    settings = {
        "bootstrap_servers": (kafka_tls.bootstrap,),
        "topics": (topic,),
        "partitions": (0,),
        "security_protocol": "SSL",
        "ca_file": kafka_tls.ca_file,
    }
    with opened(**settings) as source:
        assert read_one(source, topic) == b"0"


def test_a_certificate_of_a_stranger_is_refused(kafka_tls: Tls) -> None:
    """The system's authorities did not sign it, and the message says so."""
    _, message = refusal(
        bootstrap_servers=[kafka_tls.bootstrap],
        partitions=[0],
        security_protocol="SSL",
        connect_timeout_ms=SOON_MS,
    )

    assert "certificate" in message


def test_records_come_with_a_certificate_of_our_own(
    kafka: KafkaBroker, kafka_mutual_tls: MutualTls
) -> None:
    """Both sides prove who they are."""
    topic = kafka.create_topic()
    produce(kafka, topic)
    settings = {
        "bootstrap_servers": (kafka_mutual_tls.bootstrap,),
        "topics": (topic,),
        "partitions": (0,),
        "security_protocol": "SSL",
        "ca_file": kafka_mutual_tls.ca_file,
        "cert_file": kafka_mutual_tls.cert_file,
        "key_file": kafka_mutual_tls.key_file,
    }
    with opened(**settings) as source:
        assert read_one(source, topic) == b"0"


def test_without_a_certificate_of_our_own_we_are_refused(kafka_mutual_tls: MutualTls) -> None:
    """In one line that says what the broker said."""
    _, message = refusal(
        bootstrap_servers=[kafka_mutual_tls.bootstrap],
        partitions=[0],
        security_protocol="SSL",
        ca_file=kafka_mutual_tls.ca_file,
        connect_timeout_ms=SOON_MS,
    )

    assert "certificate" in message


MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def login(
    to: Scram, password: str, topic: str = "x", mechanism: str = "SCRAM-SHA-512"
) -> dict[str, object]:
    """Settings for the listener with passwords."""
    return {
        "bootstrap_servers": (to.bootstrap,),
        "topics": (topic,),
        "partitions": (0,),
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "username": to.username,
        "password": password,
    }


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_records_come_with_a_password(
    kafka: KafkaBroker, kafka_scram: Scram, mechanism: str
) -> None:
    """By each way to prove it."""
    topic = kafka.create_topic()
    produce(kafka, topic)
    with opened(**login(kafka_scram, kafka_scram.password, topic, mechanism)) as source:
        assert read_one(source, topic) == b"0"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_records_come_with_a_password_over_tls(
    kafka: KafkaBroker, kafka_tls: Tls, kafka_scram: Scram, mechanism: str
) -> None:
    """As PLAIN should always be sent."""
    if kafka_scram.bootstrap_tls is None:
        pytest.skip("no SASL_SSL listener; .ci/run has Apache Kafka")
    topic = kafka.create_topic()
    produce(kafka, topic)
    settings = login(kafka_scram, kafka_scram.password, topic, mechanism) | {
        "bootstrap_servers": (kafka_scram.bootstrap_tls,),
        "security_protocol": "SASL_SSL",
        "ca_file": kafka_tls.ca_file,
    }
    with opened(**settings) as source:
        assert read_one(source, topic) == b"0"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_named(kafka_scram: Scram, mechanism: str) -> None:
    """As refused, or as likely where only the end of the connection was seen; without itself."""
    settings = login(kafka_scram, "hunter2", mechanism=mechanism)
    kind, message = refusal(**settings, connect_timeout_ms=SOON_MS)

    refused = kind == "Refused" and "Authentication" in message
    assert refused or "are username, password and sasl_mechanism right?" in message
    assert "hunter2" not in message


def test_a_topic_created_again_has_another_identity(kafka: KafkaBroker) -> None:
    """Its offsets mean other records."""
    topic = kafka.create_topic()
    settings = {"bootstrap_servers": (kafka.bootstrap,), "topics": (topic,), "partitions": (0,)}
    with opened(**settings) as source:
        source.bounds([Partition(topic, 0)])
        first = source.topic_id(topic)
    assert first is not None
    with opened(**settings) as source:
        source.bounds([Partition(topic, 0)])
        assert source.topic_id(topic) == first


def test_no_broker_is_something_to_wait_for() -> None:
    """With its address in one line."""
    (port,) = free_ports(1)

    kind, message = refusal(
        bootstrap_servers=[f"127.0.0.1:{port}"], partitions=[0], connect_timeout_ms=SOON_MS
    )

    assert kind == "Retryable"
    assert message.startswith(f"cannot reach Kafka at 127.0.0.1:{port}: ")


def test_a_topic_that_does_not_exist_is_named(kafka: KafkaBroker) -> None:
    """One that exists passes; asking makes no topic."""
    there = {"bootstrap_servers": (kafka.bootstrap,), "topics": (kafka.create_topic(),)}
    with opened(**there) as source:
        source.require_topics()

    for _ in range(2):
        with (
            opened(**{**there, "topics": ("nobody-made-this",)}) as source,
            pytest.raises(Retryable, match=f"nobody-made-this does not exist on {kafka.bootstrap}"),
        ):
            source.require_topics()


def test_a_missing_certificate_file_is_a_matter_of_settings(tmp_path: Path) -> None:
    """It is named before any broker is asked."""
    settings = {"security_protocol": "SSL", "ca_file": tmp_path / "none.pem"}

    with (
        pytest.raises(UsageError, match=r"kafka.ca_file: cannot read .*none.pem"),
        opened(**settings),
    ):
        pass
