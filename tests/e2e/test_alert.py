"""`mirrorproof alert` and the delivering part of `verify`, as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from collector.db.engine import open_engine
from tests.alerting import SECRET, make_deliverer, make_endpoint, states, tell
from tests.events import make_event
from verifier.demo.receiver import Answer, Receiver

pytestmark = pytest.mark.integration
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def engine(migrated_sqlite_url: str) -> Iterator[Engine]:
    """A migrated database."""
    found = open_engine(migrated_sqlite_url)
    yield found
    found.dispose()


def configured(engine: Engine, folder: Path, url: str) -> list[str]:
    """The command's beginning and its end: an endpoint `hook` at this address."""
    file = folder / "mirrorproof.toml"
    file.write_text(
        f'[database]\nurl = "sqlite:///{engine.url.database}"\n[[alerts.endpoints]]\n'
        f'name = "hook"\nform = "standard-webhooks"\nurl = "{url}/SECRETPATH"\n'
        f'secret = "{SECRET}"\nallow_http = true\nallow_private = true\ntimeout_s = 30\n'
    )
    return ["--config", str(file)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the program to its end; never does it show a secret."""
    done = subprocess.run(
        [sys.executable, "-m", "verifier", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "SECRETPATH" not in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done


def test_an_endpoint_is_tried_and_told_of(engine: Engine, tmp_path: Path) -> None:
    """What came, what became of it, and that it was a test."""
    statuses = iter([200, 200, 500, 500])
    with Receiver(lambda _received: Answer(status=next(statuses))) as receiver:
        config = configured(engine, tmp_path, receiver.url)
        good = run("alert", "test", "hook", "--json", *config)
        bad = run("alert", "test", "hook", *config)
        bodies: list[Any] = [received.json for received in receiver.received]

    assert (good.returncode, bad.returncode) == (0, 1)
    sent = json.loads(good.stdout)["sent"]
    assert [(one["event"], one["outcome"]) for one in sent] == [
        ("firing", "delivered"),
        ("resolved", "delivered"),
    ]
    assert all(body["data"]["test"] for body in bodies)
    assert "500 Internal Server Error" in bad.stdout


def test_verify_delivers_and_leaves_a_receiver_that_hangs(engine: Engine, tmp_path: Path) -> None:
    """Within seconds of SIGTERM; what it did not take is still there, and listed."""
    released = threading.Event()

    def answer(received: Any) -> Answer:
        if received.json["data"]["incident_id"] == 8:
            released.wait(100)
        return Answer()

    with Receiver(answer) as receiver:
        config = configured(engine, tmp_path, receiver.url)
        make_deliverer(engine, [make_endpoint("hook", receiver.url)]).leave()
        tell(engine, make_event(), make_event(incident_id=8))
        command = [sys.executable, "-m", "verifier", "verify", *config]
        process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        receiver.wait_for(2, 60)
        deadline_s = time.monotonic() + 30
        while states(engine) != ["delivered", "pending"] and time.monotonic() < deadline_s:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=25)  # the receiver would take 30 s
        listed = run("alert", "list", "--json", *config)
        released.set()

    assert process.returncode == 0
    assert "SECRETPATH" not in log
    assert states(engine) == ["delivered", "pending"]
    (one,) = json.loads(listed.stdout)["endpoints"]
    assert (one["name"], one["delivered"], one["pending"], one["enabled"]) == ("hook", 1, 1, True)


def test_an_endpoint_is_disabled_and_removed_by_hand(engine: Engine, tmp_path: Path) -> None:
    """What waits is dropped; what is in the settings is not removed."""
    config = configured(engine, tmp_path, "http://127.0.0.1:9")
    make_deliverer(engine, [make_endpoint("hook", "http://127.0.0.1:9")]).leave()
    tell(engine, make_event())

    assert "1 messages dropped" in run("alert", "disable", "hook", *config).stdout
    assert "disabled" in run("alert", "list", *config).stdout
    assert "is in the settings" in run("alert", "remove", "hook", *config).stderr
