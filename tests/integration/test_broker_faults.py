"""The broker goes away in every way it can: nothing is lost or doubled, and probes tell."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion

from tests.collecting import Site, collecting, running
from tests.fault_proxy import FaultProxy
from tests.servers.kafka import KafkaBroker, MutualTls, Scram

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

AWAY = "kafka_away"
LEAVES_S = 10.0
CLIENTS = ("kafka-python", "confluent")


@pytest.fixture(params=[CLIENTS[0], pytest.param(CLIENTS[1], marks=pytest.mark.slow)])
def site(
    kafka: KafkaBroker,
    migrated_postgres_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Site]:
    """A collector at work, with each client."""
    settings = {"KAFKA__CLIENT": request.param}
    with collecting(kafka, migrated_postgres_url, tmp_path, **settings) as found:
        yield found


def is_quiet(site: Site, seconds: float) -> None:
    """For so long it neither floods its log nor keeps a processor busy."""
    lines, used_s = len(site.collector.said()), site.collector.processor_s()
    time.sleep(seconds)
    assert len(site.collector.said()) - lines <= seconds + 1
    assert site.collector.processor_s() - used_s < 0.2 * seconds


def test_a_broker_that_is_gone_is_waited_for(site: Site) -> None:
    """Without noise; it goes on by itself."""
    site.broker.refuse()
    site.collector.is_told(AWAY)
    is_quiet(site, 10.0)

    site.broker.listen()
    site.goes_on()

    site.check()


@pytest.mark.slow
def test_a_broker_that_says_nothing_is_waited_for(site: Site) -> None:
    """It takes connections and never answers."""
    site.broker.stall()
    site.broker.cut()
    site.collector.is_told(AWAY)
    is_quiet(site, 10.0)

    site.broker.flow()
    site.goes_on()

    site.check()


@pytest.mark.slow
def test_connections_that_are_cut_lose_nothing(site: Site) -> None:
    """In the middle of whatever they say, again and again."""
    for _ in range(20):
        site.broker.cut()
        time.sleep(0.1)
    site.goes_on()

    site.check()


@pytest.mark.slow
def test_a_slow_broker_is_read_slowly(site: Site) -> None:
    """It is no fault."""
    site.broker.delay_s = 0.5
    for _ in range(3):
        site.goes_on()
    assert site.collector.probe("/livez") == {}

    site.broker.delay_s = 0.0
    site.check()


def test_a_collector_leaves_in_time_under_load(site: Site) -> None:
    """With what it has in hand written, and the partitions given back."""
    assert site.collector.leave() < LEAVES_S
    assert site.rows.owners() == [None, None]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["refuse", "stall"])
@pytest.mark.parametrize("server", ["broker", "database"])
def test_a_collector_leaves_in_time_without_its_servers(
    site: Site, server: str, fault: str
) -> None:
    """They are not waited for; who reads on loses nothing."""
    proxy: FaultProxy = getattr(site, server)
    getattr(proxy, fault)()
    if (server, fault) != ("database", "stall"):
        site.collector.is_told(f"{server}_away".replace("broker", "kafka"))
    time.sleep(1.0)

    assert site.collector.leave() < LEAVES_S


def set_password(kafka: KafkaBroker, user: str, password: str) -> None:
    """Makes a user with a password for SCRAM-SHA-512, or gives another password."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        change = UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password)
        assert admin.alter_user_scram_credentials([change]) == {user: None}
    finally:
        admin.close()


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_a_password_that_is_exchanged_is_read_anew(
    kafka: KafkaBroker,
    kafka_scram: Scram,
    migrated_postgres_url: str,
    tmp_path: Path,
    client: str,
) -> None:
    """The broker refuses the old one, probes tell, the file gets the new one, and it goes on."""
    file, user = tmp_path / "password", f"user-{client}"
    set_password(kafka, user, "first")
    file.write_text("first")
    with collecting(
        kafka,
        migrated_postgres_url,
        tmp_path,
        listener=kafka_scram.bootstrap,
        KAFKA__CLIENT=client,
        KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA__SASL_MECHANISM="SCRAM-SHA-512",
        KAFKA__USERNAME=user,
        KAFKA__PASSWORD_FILE=file,
        KAFKA__CONNECT_TIMEOUT_MS=2000,
    ) as site:
        set_password(kafka, user, "second")
        site.broker.cut()
        site.collector.is_told(AWAY)

        file.write_text("second")
        site.goes_on()

        site.check()


def ends(folder: Path, **settings: object) -> list[str]:
    """What a collector says that cannot start; its exit status must be 2."""
    values = {"KAFKA__PARTITIONS": 0, "DATABASE__URL": f"sqlite:///{folder}/m.db", **settings}
    with running(folder, **values) as collector:
        try:
            assert collector.process.wait(60) == 2
        except subprocess.TimeoutExpired:
            pytest.fail("\n".join(collector.said()))
        return collector.said()


def test_a_broker_that_never_answered_is_given_up(kafka: KafkaBroker, tmp_path: Path) -> None:
    """In one line at the end that says where."""
    with FaultProxy(int(kafka.bootstrap.rpartition(":")[2])) as proxy:
        proxy.stall()
        said = ends(
            tmp_path,
            KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{proxy.port}",
            KAFKA__CONNECT_TIMEOUT_MS=1000,
            KAFKA__START_TIMEOUT_S=3,
        )

    assert said[-1].startswith(f"mirrorproof: cannot reach Kafka at 127.0.0.1:{proxy.port}: ")
    assert "Traceback" not in "\n".join(said)
    assert len(said) < 8


@pytest.mark.slow
def test_a_wrong_password_ends_the_start(kafka_scram: Scram, tmp_path: Path) -> None:
    """It can never work, and is no secret afterwards."""
    said = ends(
        tmp_path,
        KAFKA__BOOTSTRAP_SERVERS=kafka_scram.bootstrap,
        KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA__SASL_MECHANISM="SCRAM-SHA-256",
        KAFKA__USERNAME=kafka_scram.username,
        KAFKA__PASSWORD="hunter2",
        KAFKA__CONNECT_TIMEOUT_MS=2000,
        KAFKA__START_TIMEOUT_S=5,
    )

    assert said[-1].startswith(f"mirrorproof: cannot reach Kafka at {kafka_scram.bootstrap}: ")
    assert "hunter2" not in "\n".join(said)


@pytest.mark.slow
def test_a_missing_certificate_ends_the_start(kafka_mutual_tls: MutualTls, tmp_path: Path) -> None:
    """With the broker's word for it."""
    said = ends(
        tmp_path,
        KAFKA__BOOTSTRAP_SERVERS=kafka_mutual_tls.bootstrap,
        KAFKA__SECURITY_PROTOCOL="SSL",
        KAFKA__CA_FILE=kafka_mutual_tls.ca_file,
        KAFKA__CONNECT_TIMEOUT_MS=2000,
        KAFKA__START_TIMEOUT_S=5,
    )

    assert "certificate" in said[-1]
