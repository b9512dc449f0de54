"""The demo as its user runs it: a process of its own, and what it leaves behind."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect

from collector.db.engine import open_engine

pytestmark = pytest.mark.integration

_FIGURES = re.compile(r"^(\w.*\S)  +(\d+) +(\d+)(   differs)?$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3|4|9|10)[0-7]m")
_START_TIMEOUT_S = 60.0


class Demo:
    """A running demo. Its home and temporary folder are its own, so that leftovers show."""

    def __init__(self, folder: Path, *arguments: str, terminal: int | None = None) -> None:
        self.home, self.temporary = folder / "home", folder / "tmp"
        self.home.mkdir()
        self.temporary.mkdir()
        self.output = folder / "output"
        keep = ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
        environment = {name: os.environ[name] for name in keep if name in os.environ}
        with self.output.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "verifier", "demo", *arguments],
                env={
                    **environment,
                    "HOME": str(self.home),
                    "TMPDIR": str(self.temporary),
                    "TERM": "xterm-256color",
                    "NO_COLOR": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=sink if terminal is None else terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        """What it printed so far."""
        return self.output.read_text()

    def wait_for(self, text: str) -> None:
        """Waits until it printed a text."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while text not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def leftovers(self) -> list[str]:
        """Processes of its session and files, once they had a moment to go."""
        deadline = time.monotonic() + 10
        while (found := self._leftovers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _leftovers(self) -> list[str]:
        files = [str(path) for folder in (self.home, self.temporary) for path in folder.iterdir()]
        return files + _processes(self.process.pid)


def _processes(session: int) -> list[str]:
    """The processes of a session that are no zombies, by their command lines."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (
                folder.joinpath("stat").read_text().rpartition(")")[2].split()[:4]
            )
            if int(its_session) == session and state != "Z":
                found.append(folder.joinpath("cmdline").read_text().replace("\0", " "))
        except OSError:  # it ended while we looked
            continue
    return found


def figures(text: str) -> dict[str, tuple[int, int]]:
    """The comparison at the end: what → (applications, verifier)."""
    return {name: (int(one), int(two)) for name, one, two, _ in _FIGURES.findall(text)}


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    """Demos to be ended with the test, whatever happens."""
    running: list[Demo] = []
    yield running
    for demo in running:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.process.wait()


def assert_told_the_truth(text: str) -> None:
    """Every figure of the verifier is that of the applications, and none is trivial."""
    found = figures(text)
    assert len(found) == 5, text
    assert all(counted == said for counted, said in found.values()), text
    assert found["requests to v2"][0] > 100, text
    assert "The figures are equal" in text


def test_the_demo_ends_in_time_with_equal_figures_and_leaves_nothing(
    tmp_path: Path, demos: list[Demo]
) -> None:
    """Mirror, no mirror, leak: the verifier counts what the applications counted."""
    started = time.monotonic()
    demo = Demo(tmp_path, "--exit-after", "30")
    demos.append(demo)

    status = demo.process.wait(timeout=150)

    text = demo.text()
    assert status == 0, text
    assert_told_the_truth(text)
    assert figures(text)["not mirrored (missing)"][0] > 20, text
    assert "violated" in text
    assert "proven" in text
    assert "webhook received  ALERT: critical: weather/forecast-route: copies are missing" in text
    assert "The web page, while it runs: http://127.0.0.1:" in text
    assert text.rstrip().splitlines()[-1].strip().startswith("your own mesh")
    assert "\x1b" not in text
    assert time.monotonic() - started > 20
    assert demo.leftovers() == []


def matched_by_check(kept: Path) -> int:
    """How many requests `check` finds matched in the logs of a kept demo."""
    logs = sorted(str(log) for log in (kept / "logs").glob("*.log"))
    policy = str(kept / "policy.yaml")
    checked = subprocess.run(
        [sys.executable, "-m", "verifier", "check", "--json", "--policy", policy, *logs],
        capture_output=True,
        check=False,
    )
    return int(json.loads(checked.stdout)["policies"][0]["verdicts"]["matched"])


@pytest.mark.slow
def test_an_interrupted_demo_still_compares(tmp_path: Path, demos: list[Demo]) -> None:
    """Ctrl-C on a terminal ends the traffic, settles, compares; `check` agrees on what is kept."""
    ours, theirs = pty.openpty()
    kept = tmp_path / "kept"
    demo = Demo(tmp_path, "--keep", str(kept), terminal=theirs)
    demos.append(demo)
    os.close(theirs)
    screen = b""
    interrupted = False
    while True:
        try:
            screen += os.read(ours, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not interrupted and screen.count(b"proven") > 5:
            interrupted = True
            demo.process.send_signal(signal.SIGINT)
    os.close(ours)

    text = screen.decode().replace("\r\n", "\n")
    assert demo.process.wait(timeout=30) == 0, text
    assert "What the verifier settled" in text
    assert "watermark lag" in text
    assert_told_the_truth(text)
    assert not _COLOUR.search(text)
    assert demo.leftovers() == []
    assert matched_by_check(kept) == figures(text)["mirrored to v1 (matched)"][1]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_demo_that_is_killed_leaves_nothing(
    tmp_path: Path, demos: list[Demo], number: signal.Signals, status: int
) -> None:
    """No proxy, no broker, no folder: neither when it is asked to end nor when it is shot."""
    demo = Demo(tmp_path)
    demos.append(demo)
    demo.wait_for("mirrored")
    assert len(_processes(demo.process.pid)) > 6

    demo.process.send_signal(number)

    assert demo.process.wait(timeout=60) == status
    assert demo.leftovers() == []


@pytest.mark.slow
def test_the_demo_runs_on_postgresql_in_a_schema_of_its_own(
    tmp_path: Path, demos: list[Demo], postgres_url: str
) -> None:
    """The figures are equal there, too, and the schema is gone afterwards."""
    demo = Demo(tmp_path, "--exit-after", "20", "--database-url", postgres_url)
    demos.append(demo)

    status = demo.process.wait(timeout=150)

    assert status == 0, demo.text()
    assert_told_the_truth(demo.text())
    engine = open_engine(postgres_url)
    try:
        schemas = inspect(engine).get_schema_names()
        assert [name for name in schemas if name.startswith("mirrorproof")] == []
        assert inspect(engine).get_table_names() == []
    finally:
        engine.dispose()
    assert demo.leftovers() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--exit-after", "5"], "--exit-after 5 is too short; 20 s at least"),
        (["--keep", "/proc"], "folder /proc is not empty"),
        (["--database-url", "nonsense"], "database_url is no database URL"),
        (["--database-url", "sqlite:////etc/passwd"], "exists; name a new file"),
        (["--bootstrap-servers", "127.0.0.1:1"], "cannot create topic"),
    ],
)
def test_a_wrong_option_is_one_line(
    tmp_path: Path, demos: list[Demo], arguments: list[str], message: str
) -> None:
    """Exit status 2, one line that says what is wrong, nothing left."""
    demo = Demo(tmp_path, *arguments)
    demos.append(demo)

    assert demo.process.wait(timeout=60) == 2, demo.text()
    last = demo.text().splitlines()[-1]
    assert last.startswith("mirrorproof: ")
    assert message in last
    assert demo.leftovers() == []
