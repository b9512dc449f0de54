"""`explain`: the same story of a request from files and from the database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from collector.db.engine import open_engine, writing
from collector.db.policies import record_versions
from collector.service.app import build_from_files
from collector.settings import CollectorSettings, DatabaseSettings, Settings
from tests import recordings
from verifier.check.lookup import explain_files, explain_list
from verifier.explain import Story
from verifier.policies.read import read_policies
from verifier.policies.stored import to_record
from verifier.settle.lookup import explain_stored

POLICY = recordings.POLICIES / "weather-mirror.yaml"


def first_id(scenario: str, verdict: str, folder: Path) -> tuple[str, list[str]]:
    """The id of a recording's first finding of a verdict, and its LOG arguments."""
    from verifier.check import report
    from verifier.check.run import check

    logs = recordings.write_plain(recordings.read(scenario), folder)
    with check(read_policies([POLICY]), logs) as outcome:
        document = report.to_json(outcome, report.results(outcome))
    findings = document["policies"][0]["findings"]
    return next(f["request_id"] for f in findings if f["verdict"] == verdict), logs


def stored(logs: list[str], url: str, request_id: str) -> list[Story]:
    """The stories of an id after the logs were collected into a database."""
    settings = Settings(
        database=DatabaseSettings.model_validate({"url": url}),
        collector=CollectorSettings(keep_query=("*",)),
    )
    engine = open_engine(url)
    try:
        with writing(engine) as connection:
            record_versions(connection, [to_record(p) for p in read_policies([POLICY])], 0)
        stop = Event()
        build_from_files(settings, [Path(log) for log in logs], stop).run(stop)
        return explain_stored(engine, request_id).stories
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("scenario", "verdict"), [("leak", "leak"), ("toggled", "missing"), ("twice", "duplicate")]
)
@pytest.mark.integration
def test_files_and_database_tell_the_same_story(
    scenario: str, verdict: str, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """From files and from the database, a request has the same lines, verdicts and reasons."""
    request_id, logs = first_id(scenario, verdict, tmp_path)

    from_files = explain_files(read_policies([POLICY]), logs, request_id)
    from_database = stored(logs, migrated_sqlite_url, request_id)

    def told(stories: list[Story]) -> list[object]:
        return [
            (story.method, story.path, story.verdicts, story.reasons, len(story.lines))
            for story in stories
        ]

    assert any(verdict in story.verdicts for story in from_files)
    assert told(from_database) == told(from_files)


def test_id_with_another_trace_reason_is_the_same(tmp_path: Path) -> None:
    """The character of an id that Envoy rewrites does not hide its lines."""
    request_id, logs = first_id("leak", "leak", tmp_path)
    other = f"{request_id[:14]}{'9' if request_id[14] != '9' else 'a'}{request_id[15:]}"

    asked = [other, "nobody", request_id]
    found, nothing, same = explain_list(read_policies([POLICY]), logs, asked)

    assert found == same == explain_files(read_policies([POLICY]), logs, request_id)
    assert (bool(found), nothing) == (True, [])


def run_explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    command = [sys.executable, "-m", "verifier", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_command_shows_lines_and_reasons(tmp_path: Path) -> None:
    """The command prints every line of the id with its place, and why it was judged so."""
    request_id, logs = first_id("leak", "leak", tmp_path)

    done = run_explain(request_id, "--policy", str(POLICY), *logs)

    assert done.returncode == 0
    assert "v1 received a request that carries no mark of a copy" in done.stdout
    assert "forecast-v1-5d8f9b7c6" in done.stdout


def test_unknown_id_exits_three(tmp_path: Path) -> None:
    """An id that no line has is exit status 3, with valid JSON on standard output."""
    logs = recordings.write_plain(recordings.read("clean"), tmp_path)

    done = run_explain("no-such-id", "--json", "--policy", str(POLICY), *logs)

    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert (found["request_id"], found["episodes"], found["findings"]) == ("no-such-id", [], [])


def test_files_without_policy_are_refused_in_one_line(tmp_path: Path) -> None:
    """Files need policies to be judged by; the message says so."""
    logs = recordings.write_plain(recordings.read("clean"), tmp_path)

    done = run_explain("some-id", *logs)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--policy" in done.stderr
