"""`verify` and `up` as their users run them: processes of their own."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.servers.kafka import KafkaBroker
from tests.servers.process import free_ports

pytestmark = pytest.mark.integration

DATA = Path(__file__).parents[1] / "data"
POLICY = DATA / "policies" / "weather-mirror.yaml"
_TIMEOUT_S = 120.0
_STATEMENT = "/api/v1/statement?policy=weather/forecast-route&since=2020-01-01T00:00:00Z"


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts the program with a SQLite database in a folder."""
    keep = ("PATH", "PYTHONPATH", "HOME", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    with (folder / "errors").open("a") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "verifier", *arguments],
            env={
                **environment,
                "MIRRORPROOF_DATABASE__URL": f"sqlite:///{folder}/mirrorproof.db",
                "MIRRORPROOF_API__LISTEN": "127.0.0.1:0",
            },
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Runs the program to its end; exit status and output."""
    with command(folder, *arguments) as process:
        output, _ = process.communicate(timeout=_TIMEOUT_S)
        return process.returncode, output


def recorded(name: str) -> dict[str, list[str]]:
    """The lines of a recording by pod."""
    found = {}
    for path in sorted((DATA / "recordings" / name).glob("*.log.gz")):
        with gzip.open(path, "rt") as lines:
            found[path.name.removesuffix(".log.gz")] = lines.read().splitlines()
    return found


def test_collected_files_are_settled_once(tmp_path: Path) -> None:
    """`collect --from` and `verify --once --json` say what `check` says."""
    logs = []
    for pod, lines in recorded("percent30").items():
        path = tmp_path / f"{pod}.log"
        path.write_text("".join(f"{line}\n" for line in lines))
        logs += ["--from", str(path)]
    policy = str(DATA / "policies" / "weather-30.yaml")

    assert run(tmp_path, "collect", *logs, "--policy", policy)[0] == 0
    status, output = run(tmp_path, "verify", "--once", "--json")

    windows = [json.loads(line) for line in output.splitlines()]
    expected = json.loads((DATA / "recordings" / "expected.json").read_text())["percent30"]
    sums = {
        verdict: sum(window["verdicts"][verdict] for window in windows)
        for verdict in expected["with_senders"]["verdicts"]
    }
    assert status == 0
    assert sums == expected["with_senders"]["verdicts"]
    assert {window["revision"] for window in windows} == {1}
    assert run(tmp_path, "verify", "--once", "--json") == (0, "")


def test_once_tells_people_what_is_settled(tmp_path: Path) -> None:
    """A line for each window and one for each policy, also into a pipe; then only the total."""
    assert run(tmp_path, "verify", "--once") == (0, "nothing is settled\n")
    logs = []
    for pod, lines in recorded("v1_outage").items():
        path = tmp_path / f"{pod}.log"
        path.write_text("".join(f"{line}\n" for line in lines))
        logs += ["--from", str(path)]
    assert run(tmp_path, "collect", *logs, "--policy", str(POLICY))[0] == 0

    status, output = run(tmp_path, "verify", "--once")

    *windows, total = output.splitlines()
    assert status == 0
    assert windows
    assert all(" requests]" in line for line in windows)
    assert total.startswith("total  ")
    assert f" requests in {len(windows)} windows]" in total
    assert run(tmp_path, "verify", "--once") == (0, f"{total}\n")


def test_up_collects_and_verifies_in_one_process(kafka: KafkaBroker, tmp_path: Path) -> None:
    """Lines in Kafka become settled windows; SIGTERM ends both parts in good order."""
    topic = kafka.create_topic(2)
    for number, (pod, lines) in enumerate(recorded("v1_outage").items()):
        kafka.send(topic, [in_envelope(pod, line) for line in lines], partition=number % 2)
    expected = json.loads((DATA / "recordings" / "expected.json").read_text())["v1_outage"]
    wanted = expected["with_senders"]

    with command(
        tmp_path,
        *("up", "--bootstrap-servers", kafka.bootstrap, "--topic", topic),
        *("--partitions", "0-1", "--policy", str(POLICY), "--json"),
    ) as process:
        try:
            _wait_until(lambda: _settled(tmp_path) >= wanted["requests"])
            told = json.loads(_told_by_api(tmp_path, _STATEMENT))
            metrics = _told_by_api(tmp_path, "/metrics")
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=_TIMEOUT_S)
        finally:
            process.kill()

    assert process.returncode == 0, (tmp_path / "errors").read_text()
    latest = {w["window_start"]: w for w in map(json.loads, output.splitlines())}
    missing = sum(window["verdicts"]["missing"] for window in latest.values())
    assert missing == wanted["verdicts"]["missing"]
    assert told["verdicts"]["missing"] == missing
    stored, judged = (_sum(metrics, name) for name in ("lines_total", "verdicts_total"))
    assert stored > judged >= wanted["requests"]


def _told_by_api(folder: Path, path: str) -> str:
    """What is answered, asked where `up` says that it answers."""
    found = re.search(r"shows what it finds at (http://\S+)", (folder / "errors").read_text())
    assert found is not None
    with urlopen(found[1] + path, timeout=_TIMEOUT_S) as answer:
        return str(answer.read(), "utf-8")


def _sum(metrics: str, name: str) -> float:
    """Of all series of a metric."""
    found = re.findall(rf"^mirrorproof_{name}{{.*}} (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, found))


def test_up_with_wrong_arguments_starts_nothing(tmp_path: Path) -> None:
    """What is wrong is told in one line."""
    status, output = run(tmp_path, "up", "--policy", str(tmp_path / "none.yaml"))

    assert (status, output) == (2, "")
    assert "none.yaml" in (tmp_path / "errors").read_text()


def test_up_gives_up_a_broker_that_never_answers(tmp_path: Path) -> None:
    """One line says which, why, and which setting decides how long to try."""
    (port,) = free_ports(1)
    config = tmp_path / "mirrorproof.toml"
    config.write_text("[kafka]\nstart_timeout_s = 0.1\nconnect_timeout_ms = 500\n")

    status, _ = run(
        tmp_path,
        *("up", "--config", str(config), "--policy", str(POLICY)),
        *("--bootstrap-servers", f"127.0.0.1:{port}"),
    )

    said = (tmp_path / "errors").read_text().splitlines()[-1]
    assert status == 2
    assert said.startswith(f"mirrorproof: cannot reach Kafka at 127.0.0.1:{port}: ")
    assert "given up after 0.1 s (kafka.start_timeout_s)" in said


def in_envelope(pod: str, line: str) -> bytes:
    """A line as Fluent Bit ships it, without its node."""
    kubernetes = {"pod_name": pod, "namespace_name": "weather", "container_name": "istio-proxy"}
    return json.dumps({"log": f"{line}\n", "kubernetes": kubernetes}).encode()


def _settled(folder: Path) -> int:
    """How many requests are settled."""
    try:
        with closing(sqlite3.connect(folder / "mirrorproof.db")) as database:
            query = "SELECT sum(requests) FROM settled_window WHERE superseded_us IS NULL"
            return database.execute(query).fetchone()[0] or 0
    except sqlite3.OperationalError:
        return 0


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.2)
