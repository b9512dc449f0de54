"""`mirrorproof format`, and formats of users in `check`, `explain` and `collect`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.db.engine import open_engine, reading
from collector.db.tables import observation
from collector.formats.custom_json import JsonFormat
from collector.formats.given import compile_format, read_formats
from collector.formats.parse import parse_line
from collector.records import AccessLog
from tests import recordings
from verifier.check import report
from verifier.check.run import check
from verifier.policies.read import read_policies
from verifier.sample.needs import RECOMMENDED, snippet

LINES = recordings.FOLDER.parent / "lines"
POLICY = recordings.POLICIES / "weather-mirror.yaml"
TEXT = (
    "%START_TIME(%s.%3f)% %UPSTREAM_CLUSTER% pod=%ENVIRONMENT(POD_NAME)% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %RESPONSE_CODE% %DURATION% %BYTES_RECEIVED% %BYTES_SENT% "
    "%UPSTREAM_HOST% %REQUESTED_SERVER_NAME% %ROUTE_NAME% %DOWNSTREAM_REMOTE_ADDRESS% "
    '"%REQ(:METHOD)%" "%REQ(:PATH)%" "%REQ(X-FORWARDED-FOR)%" "%REQ(X-REQUEST-ID)%" '
    '"%REQ(:AUTHORITY)%"'
)
JSON = {
    "at": "%START_TIME(%s.%3f)%",
    "pod": "%ENVIRONMENT(POD_NAME)%",
    "up": {"cluster": "%UPSTREAM_CLUSTER_RAW%", "host": "%UPSTREAM_HOST%"},
    "req": {
        "line": "%REQ(:METHOD)% %REQ(:PATH)%",
        "id": "%REQ(X-REQUEST-ID)%",
        "host": "%REQ(:AUTHORITY)%",
        "from": "%REQ(X-FORWARDED-FOR)%",
    },
    "resp": [{"skipped": "%PROTOCOL%"}],
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "ms": "%DURATION%",
    "sni": "%REQUESTED_SERVER_NAME%",
    "route": "%ROUTE_NAME%",
}


def logs_of(scenario: str) -> dict[str, list[AccessLog]]:
    """The records of a recording, by pod."""
    found: dict[str, list[AccessLog]] = {}
    for pod, lines in recordings.read(scenario).items():
        logs = [parse_line(line.decode().rstrip("\n")) for line in lines]
        found[pod] = [log for log in logs if isinstance(log, AccessLog)]
    return found


def as_text(log: AccessLog, pod: str) -> str:
    """A record in the text format above."""
    fields = (
        log.cluster, f"pod={pod}", log.flags, log.details, log.code, log.duration_ms,
        log.bytes_received, log.bytes_sent, log.upstream_host, log.server_name, log.route,
        log.downstream_remote, *(f'"{v or "-"}"' for v in (log.method, log.path,
        log.forwarded_for, log.request_id, log.authority)),
    )  # fmt: skip
    words = " ".join(str("-" if field in ("", None) else field) for field in fields)
    return f"{log.start_us / 1e6:.3f} {words}\n"


def as_json(log: AccessLog, pod: str) -> str:
    """A record in the JSON format above, wrapped by a shipper that names no pod."""
    line = {
        "at": f"{log.start_us / 1e6:.3f}",
        "pod": pod,
        "up": {"cluster": log.cluster or None, "host": log.upstream_host or None},
        "req": {
            "line": f"{log.method} {log.path}",
            "id": log.request_id or None,
            "host": log.authority or None,
            "from": log.forwarded_for or None,
        },
        "status": log.code,
        "flags": log.flags or "-",
        "details": log.details or None,
        "ms": log.duration_ms,
        "sni": log.server_name or None,
        "route": log.route or None,
    }
    return json.dumps({"@timestamp": 1.5, "log": json.dumps(line) + "\n"}) + "\n"


@pytest.fixture
def custom_logs(tmp_path: Path) -> dict[str, Path]:
    """One recording in two formats of a user, all pods in one file each."""
    logs = logs_of("leak")
    paths = {"text": tmp_path / "all-text.txt", "json": tmp_path / "all-json.txt"}
    for kind, write in (("text", as_text), ("json", as_json)):
        paths[kind].write_text("".join(write(log, pod) for pod in logs for log in logs[pod]))
    return paths


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The program."""
    command = [sys.executable, "-m", "verifier", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("kind", ["text", "json"])
def test_check_judges_logs_of_a_users_format(kind: str, custom_logs: dict[str, Path]) -> None:
    """Verdicts are those of the same requests in Istio's default format; pods name themselves."""
    given = TEXT if kind == "text" else json.dumps(JSON)

    with check(
        read_policies([POLICY]), [str(custom_logs[kind])], formats=read_formats(given)
    ) as outcome:
        document = report.to_json(outcome, report.results(outcome))

    (policy,) = document["policies"]
    assert {k: v for k, v in policy["verdicts"].items() if v} == {"matched": 1817, "leak": 61}
    assert policy["findings"][0]["evidence"][0]["pod"].startswith("forecast-v1-")
    assert policy["findings"][0]["path"].startswith("/weather")


def test_formats_of_an_upgrade_are_in_force_together(
    custom_logs: dict[str, Path], tmp_path: Path
) -> None:
    """Half of the pods log the default, half two formats of the user."""
    logs = recordings.read("leak")
    records = logs_of("leak")
    with (tmp_path / "mixed.txt").open("w") as file:
        for number, pod in enumerate(sorted(logs)):
            for line, log in zip(logs[pod], records[pod], strict=True):
                prefixed = f"[pod/{pod}/istio-proxy] {line.decode()}"
                file.write((prefixed, as_text(log, pod), as_json(log, pod))[number % 3])
    formats = read_formats(f"{TEXT}\n{json.dumps(JSON)}\n")

    with check(read_policies([POLICY]), [str(tmp_path / "mixed.txt")], formats=formats) as outcome:
        document = report.to_json(outcome, report.results(outcome))

    verdicts = document["policies"][0]["verdicts"]
    assert {k: v for k, v in verdicts.items() if v} == {"matched": 1817, "leak": 61}


def test_the_options_take_formats_and_files(custom_logs: dict[str, Path], tmp_path: Path) -> None:
    """`check` and `explain`, with a format itself and with a meshConfig."""
    mesh = {"meshConfig": {"accessLogFormat": json.dumps(JSON), "accessLogEncoding": "JSON"}}
    (tmp_path / "mesh.yaml").write_text(yaml.safe_dump(mesh))
    known = ["--policy", str(POLICY), "--access-log-format"]

    checked = run("check", *known, f"@{tmp_path / 'mesh.yaml'}", str(custom_logs["json"]))
    request_id = next(log.request_id for logs in logs_of("leak").values() for log in logs)
    explained = run("explain", request_id, *known, TEXT, str(custom_logs["text"]))

    assert checked.returncode == 1, checked.stderr
    assert b"61 leaked" in checked.stdout
    assert explained.returncode == 0, explained.stderr
    assert b"forecast-v1-" in explained.stdout


def test_collect_stores_lines_of_a_users_format(
    custom_logs: dict[str, Path], tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """Named by a setting in a file, with the pod that the line names."""
    (tmp_path / "formats.txt").write_text(f"# of our mesh\n{TEXT}\n")
    (tmp_path / "config.toml").write_text(
        f"[collector]\naccess_log_format_file = '{tmp_path / 'formats.txt'}'\n"
    )

    done = run(
        "collect", "--from", str(custom_logs["text"]), "--policy", str(POLICY),
        "--database-url", migrated_sqlite_url, "--config", str(tmp_path / "config.toml"),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert b", 0 quarantined" in done.stderr
    engine = open_engine(migrated_sqlite_url)
    with reading(engine) as connection:
        count = len(connection.execute(observation.select()).all())
    engine.dispose()
    assert count == sum(map(len, logs_of("leak").values()))


@pytest.mark.parametrize("command", ["check", "explain", "collect", "up", "format"])
def test_a_wrong_format_refuses_the_start(command: str, tmp_path: Path) -> None:
    """With one line that says what, where, and what to do."""
    (tmp_path / "some.log").write_text("x\n")
    log, policy = str(tmp_path / "some.log"), ["--policy", str(POLICY)]
    url = ["--database-url", f"sqlite:///{tmp_path}/x.db"]
    arguments = {
        "check": [*policy, log], "explain": ["id", *policy, log], "format": [log],
        "collect": ["--from", log, *policy, *url], "up": [*policy, *url],
    }  # fmt: skip

    done = run(command, *arguments[command], "--access-log-format", "%START_TIME% %RESPONSE_CDE%")

    assert done.returncode == 2
    assert done.stderr.decode() == (
        "mirrorproof: access-log format, character 14 (%RESPONSE_CDE%): %RESPONSE_CDE% is no "
        "operator of Envoy; did you mean %RESPONSE_CODE%?\n"
    )


def test_format_tells_what_a_sample_is(tmp_path: Path) -> None:
    """Shapes, formats, how many of each and where the first one is."""
    text = (LINES / "envoy_text.log").read_text().splitlines()
    json_line = (LINES / "envoy_json.log").read_text().splitlines()[0]
    hostile = (LINES / "hostile_quotes.log").read_text().splitlines()[0]
    shipped = json.dumps({"log": text[0], "kubernetes": {"pod_name": "a", "host": "n"}})
    sample = ["started", text[0], text[1], json_line, hostile, shipped, '{"start_time": "x']

    done = run("format", "--json", "-", stdin="\n".join(sample).encode())

    found = json.loads(done.stdout)
    kinds = {(k["what"], k["format"], k["shape"]): (k["count"], k["line"]) for k in found["kinds"]}
    assert done.returncode == 0, done.stderr
    assert found["lines"] == 7
    assert kinds["access log", "Istio 1.9 or later, text", "bare lines"] == (2, 2)
    assert kinds["access log", "Istio, JSON", "bare lines"] == (1, 4)
    assert kinds["ambiguous", "Istio 1.9 or later, text", "bare lines"] == (1, 5)
    fluent = "Fluent Bit or Fluentd, line in `log`"
    assert kinds["access log", "Istio 1.9 or later, text", fluent] == (1, 6)
    assert kinds["ignored", "not an access log", "bare lines"][1] == 1


def test_format_says_what_is_missing_and_what_to_log() -> None:
    """A format without a request id cannot be verified at all."""
    lines = b"2026-11-22T15:11:42.900Z|GET|200\n" * 3

    done = run(
        "format", "-", "--format", "%START_TIME%|%REQ(:METHOD)%|%RESPONSE_CODE%", stdin=lines
    )

    told = done.stdout.decode()
    assert done.returncode == 1
    assert "3 access logs: format 1, in bare lines" in told
    assert "ERROR %REQ(X-REQUEST-ID)%: no line can be paired" in told
    assert "lacks %UPSTREAM_CLUSTER_RAW%:" in told
    assert "kind: Telemetry" in told


@pytest.mark.parametrize("content", [b"", b"\x00\xff\n" * 3, b"words\n"])
def test_format_of_something_else_says_so(content: bytes) -> None:
    """Empty input is an error, other input is no log of a proxy."""
    done = run("format", "-", stdin=content)

    assert done.returncode == (1 if content else 2)
    assert b"Traceback" not in done.stderr
    told = done.stdout if content else done.stderr
    assert (b"No line is an access log" if content else b"empty") in told


def test_what_is_recommended_needs_no_setting() -> None:
    """The snippet is YAML, its format compiles, and its lines are of the default JSON format."""
    documents: list[Any] = list(yaml.safe_load_all(snippet()))
    (given,) = read_formats(snippet())

    assert [document.get("kind") for document in documents] == [None, "Telemetry"]
    assert isinstance(given, JsonFormat)
    assert json.loads(given.text) == RECOMMENDED
    assert compile_format(json.dumps(RECOMMENDED)).shape() == given.shape()
