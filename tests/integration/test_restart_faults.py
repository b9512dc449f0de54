"""A broker is restarted under a collector, in good order and not: nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collecting import collecting
from tests.servers.apache import ApacheNode, apache_available, apache_node

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def node() -> Iterator[ApacheNode]:
    """A server of this module's own, which does not run yet."""
    if not apache_available():
        pytest.skip("a broker can be restarted only where Apache Kafka can be had; .ci/run has it")
    with apache_node() as made:
        yield made


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_broker_that_is_restarted_is_read_on(
    node: ApacheNode,
    migrated_postgres_url: str,
    tmp_path: Path,
    client: str,
    how: signal.Signals,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the same client, from where it was."""
    with contextlib.ExitStack() as server:
        kafka = server.enter_context(node.running(how))
        with collecting(kafka, migrated_postgres_url, tmp_path, KAFKA__CLIENT=client) as site:
            begun_s = time.monotonic()
            server.close()
            site.collector.is_told("kafka_away")
            server.enter_context(node.running())
            up_s = time.monotonic() - begun_s
            took_s = site.goes_on()
            site.check()
    with capsys.disabled():
        told = f"Apache Kafka {how.name}, {client}: away for {up_s:.1f} s"
        print(f"\n{told}, written again {took_s:.1f} s after it answers")  # noqa: T201
