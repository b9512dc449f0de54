"""The same lines in every envelope, as its shipper writes them."""

from __future__ import annotations

import json
from typing import Final

from tests import recordings
from tests.bench.check import copies

_TIME: Final = "2026-11-22T15:11:42.901234567Z"
_KUBERNETES: Final = {
    "namespace_name": "weather",
    "host": "node-a",
    "container_name": "istio-proxy",
}


def log_lines(count: int) -> list[tuple[str, bytes]]:
    """About so many lines of a recording, with the pod that wrote each; all ids differ."""
    logs = recordings.read("clean")
    times = max(1, count // sum(len(part) for part in logs.values()))
    return [(pod, line) for pod, part in logs.items() for line in copies(part, times).splitlines()]


def fluent_bit(pod: str, line: str) -> bytes:
    """Fluent Bit with its Kubernetes filter."""
    return recordings.fluent_bit(pod, f"{line}\n".encode())


def fluentd(pod: str, line: str) -> bytes:
    """Fluentd with kubernetes_metadata."""
    return _json(
        {
            "log": f"{line}\n",
            "stream": "stdout",
            "docker": {"container_id": "c" * 64},
            "kubernetes": {"pod_name": pod, **_KUBERNETES, "labels": _labels(pod)},
            "time": _TIME,
        }
    )


def filebeat(pod: str, line: str) -> bytes:
    """Filebeat with add_kubernetes_metadata."""
    return _json(
        {
            "@timestamp": "2026-11-22T15:11:42.901Z",
            "@metadata": {"beat": "filebeat", "type": "_doc", "version": "9.2.0"},
            "message": line,
            "stream": "stdout",
            "log": {"offset": 123456, "file": {"path": "/var/log/containers/x.log"}},
            "kubernetes": {
                "pod": {"name": pod, "uid": "u" * 36},
                "namespace": "weather",
                "node": {"name": "node-a"},
                "container": {"name": "istio-proxy"},
                "labels": _labels(pod),
            },
            "ecs": {"version": "8.0.0"},
        }
    )


def vector(pod: str, line: str) -> bytes:
    """Vector's kubernetes_logs source."""
    return _json(
        {
            "file": f"/var/log/pods/weather_{pod}_uid/istio-proxy/0.log",
            "kubernetes": {
                "container_name": "istio-proxy",
                "pod_name": pod,
                "pod_namespace": "weather",
                "pod_node_name": "node-a",
                "pod_labels": _labels(pod),
            },
            "message": line,
            "source_type": "kubernetes_logs",
            "stream": "stdout",
            "timestamp": _TIME,
        }
    )


def docker(_pod: str, line: str) -> bytes:
    """The Docker daemon's json-file driver."""
    return _json({"log": f"{line}\n", "stream": "stdout", "time": _TIME})


def cri(_pod: str, line: str) -> bytes:
    """A container runtime's own file."""
    return f"{_TIME} stdout F {line}".encode()


def bare(_pod: str, line: str) -> bytes:
    """The line itself."""
    return line.encode()


ENVELOPES: Final = {
    "bare": bare,
    "Fluent Bit": fluent_bit,
    "Fluentd": fluentd,
    "Filebeat": filebeat,
    "Vector": vector,
    "Docker": docker,
    "CRI": cri,
}


def _labels(pod: str) -> dict[str, str]:
    app, version = pod.split("-")[:2]
    return {"app": app, "version": version, "pod-template-hash": "5d8f9b7c6"}


def _json(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()
