"""Which client reads Kafka."""

from __future__ import annotations

import sys

import pytest

from collector.errors import UsageError
from collector.sources.clients import kafka_client
from collector.sources.confluent import ConfluentSource
from collector.sources.kafka import KafkaSource


def test_a_setting_chooses_the_client() -> None:
    """Both have one face."""
    assert kafka_client("kafka-python") is KafkaSource
    assert kafka_client("confluent") is ConfluentSource


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.delitem(sys.modules, "collector.sources.confluent")
    monkeypatch.setitem(sys.modules, "collector.sources.confluent_connection", None)

    with pytest.raises(UsageError, match=r"install mirrorproof\[fast\]"):
        kafka_client("confluent")
