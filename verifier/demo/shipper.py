"""The log shipper of the demo: does what Fluent Bit does on each node.

Every line of a proxy's log becomes one Kafka record in the JSON shape of Fluent Bit's tail input,
Kubernetes filter and Kafka output. Records have no key, as Fluent Bit's default: the lines of one
pod spread over all partitions and arrive there in different order. Each node also writes a
heartbeat record a second, so that a quiet log is told from a dead one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from collector.errors import Retryable
from verifier.demo.broker import Topic
from verifier.demo.pods import NAMESPACE, NODES, PODS, Pod
from verifier.demo.tail import Tail

_POLL_S: Final = 0.1
_HEARTBEAT_S: Final = 1.0
_LINGER_MS: Final = 20
_FLUSH_TIMEOUT_S: Final = 10.0


def render_record(line: str, pod: Pod, now_s: float) -> bytes:
    """A line in Fluent Bit's JSON.

    Args:
        line: As the proxy wrote it, with its newline.
        pod: Whose proxy.
        now_s: When the shipper read it, in seconds since the epoch.
    """
    record: dict[str, Any] = {
        "@timestamp": round(now_s, 6),
        "log": line,
        "stream": "stdout",
        "kubernetes": {
            "pod_name": pod.name,
            "namespace_name": NAMESPACE,
            "host": pod.node,
            "container_name": "istio-proxy",
            "labels": {"app": pod.app, "version": pod.version},
        },
    }
    return json.dumps(record, ensure_ascii=False).encode()


def render_heartbeat(node: str, now_s: float) -> bytes:
    """The record that says: the logs of this node are on their way (collector.envelopes.unwrap)."""
    moment = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
    beat = {"mirrorproof": "heartbeat", "node": node, "time": moment.replace("+00:00", "Z")}
    return json.dumps(beat).encode()


class Shipper:
    """Ships the proxies' logs from a thread of its own until it is stopped.

    Args:
        logs: The logs' files, by pod name.
        topic: Where the records go.

    Raises:
        Retryable: The broker does not answer.
    """

    def __init__(self, logs: Mapping[str, Path], topic: Topic) -> None:
        self._tails = [(pod, Tail(logs[pod.name])) for pod in PODS if pod.name in logs]
        self._topic = topic.name
        self._producer: KafkaProducer = _connect(topic)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._next_beat = 0.0
        self.shipped = 0
        self.failure: KafkaError | None = None

    def start(self) -> None:
        """Starts to ship."""
        self._thread.start()

    def stop(self) -> None:
        """Ships what is written, and returns when the broker has it. May be called twice."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_FLUSH_TIMEOUT_S)
        self._producer.close(timeout=_FLUSH_TIMEOUT_S)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_POLL_S):
                self._ship()
            self._ship()
            self._producer.flush(timeout=_FLUSH_TIMEOUT_S)
        except KafkaError as error:
            self.failure = error

    def _ship(self) -> None:
        now_s = time.time()
        for pod, tail in self._tails:
            for line in tail.read_lines():
                self._send(render_record(line, pod, now_s))
                self.shipped += 1
        if now_s >= self._next_beat:
            self._next_beat = now_s + _HEARTBEAT_S
            for node in NODES:
                self._send(render_heartbeat(node, now_s))

    def _send(self, value: bytes) -> None:
        self._producer.send(self._topic, value).add_errback(self._failed)

    def _failed(self, error: KafkaError) -> None:
        self.failure = error


def _connect(topic: Topic) -> KafkaProducer:
    try:
        return KafkaProducer(**topic.options, acks="all", linger_ms=_LINGER_MS)
    except KafkaError as error:
        where = ",".join(topic.options["bootstrap_servers"])
        message = f"no Kafka broker at {where}: {' '.join(str(error).split())}"
        raise Retryable(message) from error
