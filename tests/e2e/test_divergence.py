"""Divergence of real answers: fires where v1 answers otherwise, stays quiet elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests import recordings
from verifier.check import answers, report
from verifier.check.run import check
from verifier.cli import app, register_all
from verifier.policies.read import read_policies


def divergence(scenario: str, folder: Path, **given: bool) -> dict[str, Any]:
    """What `check --json` says of how answers differ."""
    policy = recordings.POLICIES / recordings.EXPECTED[scenario]["policy"]
    logs = recordings.write_plain(recordings.read(scenario, **given), folder)
    with check(read_policies([policy]), logs, limit=0) as outcome:
        found = report.to_json(outcome, report.results(outcome))["policies"][0]["divergence"]
    json.dumps(found)
    return dict(found)


def measures(found: dict[str, Any], endpoint: str) -> set[str]:
    """What diverges at an endpoint."""
    (one,) = (one for one in found["endpoints"] if one["endpoint"] == endpoint)
    return {name for name, measure in one["measures"].items() if measure["diverges"]}


@pytest.mark.parametrize("senders", [True, False], ids=["with_senders", "without_senders"])
@pytest.mark.parametrize(
    "scenario", ["clean", "clean_json", "percent30", "nosuffix_clean", "long_lived", "aborts"]
)
def test_equal_versions_do_not_diverge(scenario: str, senders: bool, tmp_path: Path) -> None:
    """Where v1 and v2 answer alike, nothing is said to diverge."""
    found = divergence(scenario, tmp_path, senders=senders)

    assert found["endpoints"][0]["pairs"] > 50
    assert not found["diverges"]


@pytest.mark.parametrize("senders", [True, False], ids=["with_senders", "without_senders"])
def test_a_version_that_answers_otherwise_diverges(senders: bool, tmp_path: Path) -> None:
    """v1's errors, its 10 ms and its 20 bytes more are found, at the endpoints where they are."""
    found = divergence("diverging", tmp_path, senders=senders)

    assert found["diverges"]
    assert found["status"] == 20
    assert measures(found, "all") == {"status", "latency", "size"}
    assert measures(found, "GET /weather") == {"latency", "size"}
    assert measures(found, "HEAD /weather") == {"latency"}
    assert measures(found, "POST /report") == {"latency", "size"}


def test_an_application_that_is_down_diverges_by_status(tmp_path: Path) -> None:
    """v1's proxy answers 503 for its application: the copies arrived, and differ."""
    assert "status" in measures(divergence("v1_app_down", tmp_path), "GET /weather")


def test_of_large_inputs_a_sample_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the requests tells enough, and takes no more memory than there is."""
    whole = divergence("diverging", tmp_path)
    monkeypatch.setattr(answers, "SAMPLE_BYTES", 200_000)
    part = divergence("diverging", tmp_path)

    assert 20 < part["endpoints"][0]["pairs"] < whole["endpoints"][0]["pairs"] * 0.8
    assert "latency" in measures(part, "all")
    assert part["status"] == 20


def test_people_read_what_diverges(tmp_path: Path) -> None:
    """The screen names endpoint, measure and both medians."""
    register_all()
    logs = recordings.write_plain(recordings.read("diverging"), tmp_path)
    policy = str(recordings.POLICIES / "weather-mirror.yaml")
    shown = CliRunner().invoke(app, ["check", "--policy", policy, *logs]).output

    assert "GET /weather: slower in 266 of 274 pairs, median 11 instead of 0 ms" in shown
