"""The recordings of real Envoy proxies, in every form in which a user may bring them."""

from __future__ import annotations

import gzip
import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from collector.formats.parse import parse_line
from collector.records import AccessLog

FOLDER = Path(__file__).parent / "data" / "recordings"
POLICIES = Path(__file__).parent / "data" / "policies"
SCENARIOS = tuple(sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
SENDER = "frontend"

Logs = dict[str, list[bytes]]
"""The lines of each pod's log, by the pod's name."""


def read(scenario: str, *, senders: bool = True) -> Logs:
    """The logs of one recording.

    Args:
        scenario: A folder's name.
        senders: Whether the frontend's log is among them.
    """
    return {
        path.name.removesuffix(".log.gz"): gzip.decompress(path.read_bytes()).splitlines(True)
        for path in sorted((FOLDER / scenario).glob("*.log.gz"))
        if senders or not path.name.startswith(SENDER)
    }


def truth(scenario: str) -> dict[str, Any]:
    """What the applications counted."""
    found: dict[str, Any] = json.loads((FOLDER / scenario / "truth.json").read_text())
    return found


def write_plain(logs: Logs, folder: Path) -> list[str]:
    """One file per pod, as `kubectl logs` gives it; the LOG arguments for them."""
    for pod, lines in logs.items():
        (folder / f"{pod}.log").write_bytes(b"".join(lines))
    return [str(folder / f"{pod}.log") for pod in logs]


def write_shuffled(logs: Logs, folder: Path) -> list[str]:
    """As plain files, in any order of lines."""
    return write_plain({pod: _shuffled(lines) for pod, lines in logs.items()}, folder)


def write_repeated(logs: Logs, folder: Path) -> list[str]:
    """As plain files in which every line is there twice."""
    return write_plain({pod: _shuffled(lines * 2) for pod, lines in logs.items()}, folder)


def write_fluent_bit(logs: Logs, folder: Path) -> list[str]:
    """One file of Fluent Bit records, as they stand in a topic."""
    records = [fluent_bit(pod, line) for pod, lines in logs.items() for line in lines]
    (folder / "topic.json").write_bytes(b"\n".join(_shuffled(records)) + b"\n")
    return [str(folder / "topic.json")]


def write_json(logs: Logs, folder: Path) -> list[str]:
    """One file per pod in Istio's default JSON format, whatever the recording's format is."""
    return write_plain(
        {pod: [to_json(line) for line in lines] for pod, lines in logs.items()}, folder
    )


FORMS = {
    "plain": write_plain,
    "shuffled": write_shuffled,
    "repeated": write_repeated,
    "fluent_bit": write_fluent_bit,
    "json": write_json,
}


def shift(line: bytes, ahead_ms: int) -> bytes:
    """A line of the text format as a pod whose clock is ahead would have written it."""
    start = datetime.fromisoformat(line[1:25].decode()) + timedelta(milliseconds=ahead_ms)
    return line[:1] + start.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3].encode() + line[24:]


def _shuffled(lines: list[bytes]) -> list[bytes]:
    return random.Random(7).sample(lines, len(lines))


def fluent_bit(pod: str, line: bytes) -> bytes:
    """A line as Fluent Bit's Kafka output writes it, with the Kubernetes filter."""
    app, version = pod.split("-")[:2]
    record = {
        "@timestamp": 1795360302.9,
        "stream": "stdout",
        "log": line.decode("utf-8", "replace"),
        "kubernetes": {
            "pod_name": pod,
            "namespace_name": "weather",
            "host": "node-a",
            "container_name": "istio-proxy",
            "labels": {"app": app, "version": version},
        },
    }
    return json.dumps(record, ensure_ascii=False).encode()


def to_json(line: bytes) -> bytes:
    """A line of the text format as Envoy would have logged it in JSON."""
    if line.startswith(b"{"):
        return line
    text = line.decode("utf-8", "replace").rstrip("\n")
    log = parse_line(text)
    assert isinstance(log, AccessLog)
    assert not log.ambiguous, "a line with extra quotes does not show its fields"
    fields = {
        "start_time": text[1 : text.index("]")],
        "method": log.method,
        "path": log.path,
        "response_code": log.code,
        "response_flags": log.flags or "-",
        "response_code_details": log.details or None,
        "bytes_received": log.bytes_received,
        "bytes_sent": log.bytes_sent,
        "duration": log.duration_ms,
        "x_forwarded_for": log.forwarded_for or None,
        "user_agent": log.user_agent or None,
        "request_id": log.request_id or None,
        "authority": log.authority or None,
        "upstream_host": log.upstream_host or None,
        "upstream_cluster": log.cluster or None,
        "upstream_local_address": log.upstream_local or None,
        "downstream_local_address": log.downstream_local or None,
        "downstream_remote_address": log.downstream_remote or None,
        "requested_server_name": log.server_name or None,
        "route_name": log.route or None,
    }
    return json.dumps(fields).encode() + b"\n"
