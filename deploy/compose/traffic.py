"""Writes to Kafka what the proxies of a small mesh would log, as Fluent Bit ships it.

A front end sends ten requests a second to v2 of a service, and its proxy a copy of each to v1. In
one minute of ten, the third, every third copy is lost; that is what mirrorproof has to find.

Run by compose.yaml: traffic.py BROKERS TOPIC
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event
from typing import Any, Final

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

PARTITIONS: Final = 3
PER_S: Final = 10
HEARTBEAT_S: Final = 2
CYCLE_S: Final = 600
LOSS_S: Final = range(120, 180)
"""Seconds of a cycle in which copies are lost."""
LOST_SHARE: Final = 1 / 3
HOST: Final = "forecast.weather.svc.cluster.local"
NODES: Final = ("node-a", "node-b")
PODS: Final = {
    "frontend": ("frontend-6c9d8f7b5d-x2x7p", "v1", NODES[0]),
    "v1": ("forecast-v1-5d8f9b7c6-abcde", "v1", NODES[1]),
    "v2": ("forecast-v2-7b9c4d5e8-klmno", "v2", NODES[0]),
}
"""Name, version and node of each."""


def line(who: str, request_id: str, path: str, start_s: float, duration_ms: int) -> dict[str, Any]:
    """A line in Istio's JSON format: of the sender, or of one of the receivers, v1 or v2."""
    is_sender = who == "frontend"
    return {
        "authority": "forecast:3002",
        "bytes_received": 0,
        "bytes_sent": 100 + len(path),
        "downstream_remote_address": "10.0.0.7:0" if who == "v1" else "10.0.0.7:40112",
        "duration": duration_ms,
        "method": "GET",
        "path": path,
        "protocol": "HTTP/1.1",
        "request_id": request_id,
        "response_code": 200,
        "response_code_details": "via_upstream",
        "response_flags": "-",
        "route_name": "default",
        "start_time": iso_time(start_s),
        "upstream_cluster": f"outbound|3002|v2|{HOST}" if is_sender else "inbound|3002||",
        "upstream_host": "10.0.0.9:3002",
        "upstream_service_time": str(max(duration_ms - 1, 0)),
        # The proxy that copies adds its own address.
        "x_forwarded_for": "10.0.0.7" if who == "v1" else None,
    }


def iso_time(at_s: float) -> str:
    """As proxies write it: UTC, milliseconds."""
    moment = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def shipped(who: str, logged: dict[str, Any]) -> bytes:
    """The line in Fluent Bit's envelope."""
    pod, version, node = PODS[who]
    kubernetes = {
        "pod_name": pod,
        "namespace_name": "weather",
        "host": node,
        "container_name": "istio-proxy",
        "labels": {"app": pod.split("-")[0], "version": version},
    }
    return json.dumps({"log": json.dumps(logged) + "\n", "kubernetes": kubernetes}).encode()


def records_of_request(since_begin_s: float, now_s: float) -> Iterator[bytes]:
    """The records of a request that ends now."""
    request_id, path = str(uuid.uuid4()), f"/weather?city={random.randrange(1000)}"  # noqa: S311
    took_ms = random.randrange(8, 40)  # noqa: S311
    start_s = now_s - took_ms / 1000
    yield shipped("frontend", line("frontend", request_id, path, start_s, took_ms))
    yield shipped("v2", line("v2", request_id, path, start_s + 0.001, took_ms - 3))
    is_lost = int(since_begin_s) % CYCLE_S in LOSS_S and random.random() < LOST_SHARE  # noqa: S311
    if not is_lost:
        yield shipped("v1", line("v1", request_id, path, start_s + 0.001, took_ms - 2))


def heartbeats(now_s: float) -> Iterator[bytes]:
    """What says that the logs of each node are on their way."""
    for node in NODES:
        beat = {"mirrorproof": "heartbeat", "node": node, "time": iso_time(now_s)}
        yield json.dumps(beat).encode()


def create_topic(brokers: str, topic: str) -> None:
    """Makes the topic where it is not there yet."""
    admin = KafkaAdminClient(bootstrap_servers=brokers)
    try:
        with contextlib.suppress(TopicAlreadyExistsError):
            admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        admin.close()


def main(brokers: str, topic: str) -> None:
    """Writes until SIGTERM."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    create_topic(brokers, topic)
    producer = KafkaProducer(bootstrap_servers=brokers, acks="all", linger_ms=20)
    begin_s, tick = time.time(), 0
    while not stop.wait(max(0.0, begin_s + tick / PER_S - time.time())):
        now_s = time.time()
        for record in records_of_request(now_s - begin_s, now_s):
            producer.send(topic, record)
        if tick % (PER_S * HEARTBEAT_S) == 0:
            for record in heartbeats(now_s):
                producer.send(topic, record)
        tick += 1
    producer.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
