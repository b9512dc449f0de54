"""A loop that stands still is noticed, told, and ended: whoever starts it again does better."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.collecting import Rows, running
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(120)]

HANG_S = 5
BLOCKED = """
import sys, threading, time
from pathlib import Path
from collector.sources import kafka

poll, blocked = kafka.KafkaSource.poll, Path(sys.argv.pop())

def block_then_poll(self, timeout_s):
    if blocked.exists():  # as a bug in the client that stops its thread
        self._consumer._net.call_soon_threadsafe(lambda: time.sleep(1e6))
    return poll(self, timeout_s)

kafka.KafkaSource.poll = block_then_poll
from verifier.cli import main
main()
"""


def test_a_poll_that_never_returns_ends_the_process(
    kafka: KafkaBroker, migrated_postgres_url: str, tmp_path: Path
) -> None:
    """With the stacks of all threads; the next process reads on."""
    topic, rows = kafka.create_topic(), Rows(migrated_postgres_url)
    settings = {
        "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA__TOPICS": topic,
        "KAFKA__PARTITIONS": 0,
        "COLLECTOR__HANG_S": HANG_S,
        "DATABASE__URL": migrated_postgres_url,
    }
    blocked = tmp_path / "blocked"
    program = (sys.executable, "-c", BLOCKED, "collect")
    with running(tmp_path, "first", str(blocked), program=program, **settings) as collector:
        collector.becomes_ready()
        collector.until(lambda: rows.offsets() == [0], "never began")
        blocked.touch()
        assert collector.process.wait(60) == 70
        said = "\n".join(collector.said())
        assert "collector_hung" in said
        assert "in block_then_poll" in said, "no stack of the thread that hangs"

    kafka.send(topic, [b"a line"])
    with running(tmp_path, "second", **settings) as collector:
        collector.becomes_ready()
        collector.until(lambda: rows.offsets() == [1], "never read on")
        assert collector.leave() < 10.0
