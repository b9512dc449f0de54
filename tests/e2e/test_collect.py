"""`collect --from` as its users run it: a process of its own."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from tests.e2e.test_verify import DATA, recorded, run

pytestmark = pytest.mark.integration


def test_files_without_a_policy_are_refused(tmp_path: Path) -> None:
    """Nothing would ever be read: that is told at once, and not waited for."""
    log = tmp_path / "pod.log"
    log.write_text("".join(f"{line}\n" for line in next(iter(recorded("percent30").values()))))

    status, _ = run(tmp_path, "collect", "--from", str(log))

    said = (tmp_path / "errors").read_text().splitlines()
    assert (status, said[-1]) == (2, "mirrorproof: no policy is recorded: give --policy FILE")


POLICY = str(DATA / "policies" / "weather-30.yaml")


def collect(folder: Path, log: Path) -> tuple[int, list[str]]:
    """Reads a file with a policy; exit status and what was said."""
    (folder / "errors").unlink(missing_ok=True)
    status, _ = run(folder, "collect", "--from", str(log), "--policy", POLICY)
    return status, (folder / "errors").read_text().splitlines()


def test_what_was_read_is_told_at_the_end(tmp_path: Path) -> None:
    """Each line is stored, ignored or quarantined; a second run finds nothing new."""
    lines = next(iter(recorded("percent30").values()))
    log = tmp_path / "pod.log"
    log.write_text("".join(f"{line}\n" for line in [*lines, "my own words"]))

    status, said = collect(tmp_path, log)

    told = re.fullmatch(r"(\d+) lines read: (\d+) stored, (\d+) ignored, (\d+) quar.*", said[-1])
    assert told, said
    read, *parts = map(int, told.groups())
    assert (status, read, sum(parts)) == (0, len(lines) + 1, len(lines) + 1)
    assert parts[0] > 0
    status, said = collect(tmp_path, log)
    assert (status, said[-1]) == (0, "0 lines read: 0 stored, 0 ignored, 0 quarantined")


def test_a_packed_file_is_refused(tmp_path: Path) -> None:
    """Nothing of it is stored, not even as quarantined."""
    log = tmp_path / "pod.log.gz"
    log.write_bytes(gzip.compress(b"line\n" * 1000))

    status, said = collect(tmp_path, log)

    assert (status, said[-1]) == (2, f"mirrorproof: {log}: is binary, no log; unpack it first")


def test_a_file_without_access_logs_ends_with_an_error(tmp_path: Path) -> None:
    """It was read, and there is nothing that a verdict could be based on."""
    log = tmp_path / "notes.txt"
    log.write_text("my notes\n" * 10)

    status, said = collect(tmp_path, log)

    assert (status, said[-2][:13]) == (2, "10 lines read")
    assert "no line is an access log" in said[-1]


def test_a_file_that_is_stopped_is_not_waited_for(tmp_path: Path) -> None:
    """Too much that nobody can read: it ends, now and when it is tried again."""
    log = tmp_path / "broken.log"
    log.write_text('[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken\n' * 1500)

    for _ in range(2):
        status, said = collect(tmp_path, log)

        assert status == 2
        assert f"{log}: not read to the end" in said[-1]
