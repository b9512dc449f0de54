"""`gate` and `audit`, on a database that `collect` and `verify` filled."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.test_verify import DATA, recorded, run

pytestmark = pytest.mark.integration
SINCE = ("--since", "2020-01-01T00:00:00Z")


def settle(folder: Path, recording: str) -> None:
    """Fills the folder's database."""
    logs = []
    for pod, lines in recorded(recording).items():
        path = folder / f"{pod}.log"
        path.write_text("".join(f"{line}\n" for line in lines))
        logs += ["--from", str(path)]
    policy = str(DATA / "policies" / "weather-mirror.yaml")
    assert run(folder, "collect", *logs, "--policy", policy)[0] == 0
    assert run(folder, "verify", "--once")[0] == 0


def test_a_violated_policy_fails_the_release(tmp_path: Path) -> None:
    """The numbers are those of `check`, the findings name their lines by their positions."""
    settle(tmp_path, "v1_outage")
    name = "weather/forecast-route"

    status, output = run(tmp_path, "gate", name, *SINCE, "--wait", "5m", "--json", "--limit", "2")

    (policy,) = json.loads(output)["policies"]
    expected = json.loads((DATA / "recordings" / "expected.json").read_text())["v1_outage"]
    assert status == 1
    assert policy["statement"] == "violated"
    verdicts = {name: count for name, count in policy["verdicts"].items() if count}
    assert verdicts == expected["with_senders"]["verdicts"]
    assert policy["primary"]["requests"] == expected["with_senders"]["requests"]
    assert [one["verdict"] for one in policy["findings"]] == ["missing", "missing"]
    assert policy["findings"][0]["evidence"][0]["topic"].startswith("file:")
    assert run(tmp_path, "gate", name, *SINCE)[1].endswith("VIOLATED\n")


def test_an_auditor_follows_the_chain(tmp_path: Path) -> None:
    """The head that was noted is found again, until a verdict is changed."""
    settle(tmp_path, "v1_outage")
    status, output = run(tmp_path, "audit", "verify", "--json")
    (chain,) = json.loads(output)["chains"]
    assert (status, chain["broken"], chain["anchor"]) == (0, None, "")
    expected = ("--expect", chain["head"])
    assert run(tmp_path, "audit", "verify", *expected)[0] == 0
    with closing(sqlite3.connect(tmp_path / "mirrorproof.db")) as database, database:
        database.execute("UPDATE finding SET verdict = 'matched' WHERE verdict = 'missing'")

    status, output = run(tmp_path, "audit", "verify", *expected)

    assert status == 1
    assert "its findings or its policy version were changed" in output
    assert f"no row that fits has the digest {chain['head']}" in output


def test_old_logs_prove_nothing_of_now(tmp_path: Path) -> None:
    """All matched long ago is not proven: what is settled has to reach until now."""
    settle(tmp_path, "clean")

    status, output = run(tmp_path, "gate", "weather/forecast-route", *SINCE)

    assert status == 3
    assert "settled up to 20" in output
    assert output.endswith("NOT PROVEN\n")


def test_wrong_questions_are_told_in_one_line(tmp_path: Path) -> None:
    """An unknown policy, a wrong time, and a database that is not there."""
    for arguments, said in (
        (("gate", "weather/forecast-route"), "no such file; give --database-url"),
        (("gate", "x", "--since", "yesterday"), "no such file; give --database-url"),
    ):
        assert run(tmp_path, *arguments) == (2, "")
        assert said in (tmp_path / "errors").read_text()
    settle(tmp_path, "clean")
    for arguments, said in (
        (("gate", "none"), "no policy 'none' was ever recorded; there are: weather/forecast-route"),
        (("gate", "x", "--since", "yesterday"), "--since must be a duration back from now"),
    ):
        (tmp_path / "errors").write_text("")
        assert run(tmp_path, *arguments) == (2, "")
        assert (tmp_path / "errors").read_text().count("\n") == 1
        assert said in (tmp_path / "errors").read_text()


def test_a_corrected_policy_is_recorded_and_replayed(tmp_path: Path) -> None:
    """The route had no mirror, as it turns out: what was missing is exempt now."""
    settle(tmp_path, "v1_outage")
    text = (DATA / "policies" / "weather-mirror.yaml").read_text()
    begin, end = text.index("      mirror:"), text.index("---")
    (tmp_path / "corrected.yaml").write_text(text[:begin] + text[end:])
    arguments = ("--valid-from", "2020-01-01T00:00:00Z", str(tmp_path / "corrected.yaml"))

    assert run(tmp_path, "policy", "record", *arguments) == (
        0,
        "1 policies read, 1 new versions recorded\n",
    )
    status, output = run(tmp_path, "replay", *SINCE, "--json")

    *windows, last = (json.loads(line) for line in output.splitlines())
    assert status == 0
    assert last["summary"]["revised"] == len(windows) <= last["summary"]["windows"]
    assert last["summary"]["left"] == 0
    assert {window["revision"] for window in windows} == {2}
    assert sum(window["verdicts"]["missing"] for window in windows) == 0
    assert sum(window["verdicts"]["exempt"] for window in windows) > 0
    assert "version 2, 2020-01-01T00:00:00.000Z to now" in run(tmp_path, "policy", "list")[1]
    assert run(tmp_path, "replay", *SINCE) == (0, "0 windows have a new revision\n")
