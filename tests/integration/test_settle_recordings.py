"""The live pipeline over logs of real Envoy proxies: file to database to totals."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from collector.db.engine import open_engine, reading, writing
from collector.db.policies import record_versions
from collector.service.app import build_from_files
from collector.settings import DatabaseSettings, Settings, VerifierSettings
from tests import recordings
from verifier.app import build
from verifier.policies.read import read_policies
from verifier.policies.stored import to_record
from verifier.settle.drift import drift_of
from verifier.settle.endpoints import endpoints
from verifier.settle.report import totals

DATA = Path(__file__).parents[1] / "data"
EXPECTED = json.loads((DATA / "recordings" / "expected.json").read_text())
SENDERS = ("with_senders", "without_senders")
"""Each recording is settled in turn with one of these; with both at night."""


def _unpack(recording: str, folder: Path, *, with_senders: bool) -> list[Path]:
    found = []
    for packed in sorted((DATA / "recordings" / recording).glob("*.log.gz")):
        if with_senders or not packed.name.startswith("frontend"):
            path = folder / packed.name.removesuffix(".gz")
            with gzip.open(packed) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
            found.append(path)
    return found


def _settle(url: str, policy: Path, logs: list[Path], window_s: int) -> Any:
    settings = Settings(
        database=DatabaseSettings.model_validate({"url": url}),
        verifier=VerifierSettings(window_s=window_s),
    )
    engine = open_engine(url)
    (declared,) = read_policies([policy])
    try:
        with writing(engine) as connection:
            record_versions(connection, [to_record(declared)], 0)
        stop = Event()
        build_from_files(settings, logs, stop).run(stop)
        build(settings, engine).settle_due()
        with reading(engine) as connection:
            return totals(connection, declared.name)
    finally:
        engine.dispose()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("recording", "senders"),
    [
        pytest.param(one, senders, marks=() if senders == SENDERS[number % 2] else pytest.mark.slow)
        for number, one in enumerate(sorted(EXPECTED))
        for senders in SENDERS
    ],
)
def test_the_live_pipeline_says_what_check_says(
    recording: str, senders: str, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """Collected and settled, a recording has the verdicts that `check` has."""
    expected = EXPECTED[recording][senders]
    logs = _unpack(recording, tmp_path, with_senders=senders == "with_senders")

    found = _settle(
        migrated_sqlite_url, DATA / "policies" / EXPECTED[recording]["policy"], logs, 10
    )

    assert {name: number for name, number in found.verdicts.items() if number} == {
        name: number for name, number in expected["verdicts"].items() if number
    }
    assert (found.requests, found.requests_high) == (
        expected["requests"],
        expected["requests_high"],
    )
    assert found.status_differs == expected["status_differs"]
    assert found.statement == expected["statement"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("recording", "diverging"),
    [("clean", set()), ("percent30", set()), ("diverging", {"status", "latency", "size"})],
)
def test_answers_are_compared_live_as_check_does(
    recording: str, diverging: set[str], migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """What v1 answers otherwise is found by endpoint; equal answers and draws by right are not."""
    logs = _unpack(recording, tmp_path, with_senders=True)
    policy = DATA / "policies" / EXPECTED[recording]["policy"]
    found = _settle(migrated_sqlite_url, policy, logs, 10)
    engine = open_engine(migrated_sqlite_url)
    with reading(engine) as connection:
        everything = endpoints(connection, found.policy, found.since_us, found.until_us)[0]
        drift = drift_of(connection, found.policy)
    engine.dispose()

    assert everything.pairs > 50
    assert {name for name, one in everything.differences.items() if one.diverges} == diverging
    assert drift is not None
    assert not drift.decision.decided


@pytest.mark.integration
@pytest.mark.parametrize("recording", ["toggled", "v1_outage", "leak"])
def test_records_of_a_shipper_in_a_file_are_complete(
    recording: str, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """A file of Fluent Bit records ends with all that its nodes wrote: what lacks is missing."""
    expected = EXPECTED[recording]["with_senders"]
    logs = recordings.write_fluent_bit(recordings.read(recording), tmp_path)

    found = _settle(
        migrated_sqlite_url,
        DATA / "policies" / EXPECTED[recording]["policy"],
        [Path(log) for log in logs],
        10,
    )

    assert {name: number for name, number in found.verdicts.items() if number} == expected[
        "verdicts"
    ]
