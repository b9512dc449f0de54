"""What `check` makes of input as people bring it: prefixes, marks, lines that cannot be read."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import recordings
from tests.lines import shipped
from verifier.check import report, sources
from verifier.check.lookup import explain_files
from verifier.check.pieces import whole_end
from verifier.check.run import check
from verifier.policies.read import read_policies

POLICY = recordings.POLICIES / "weather-mirror.yaml"
MIRROR = "forecast-v1-5d8f9b7c6-abcde"


def judge(logs: list[str]) -> dict[str, Any]:
    """What `check --json` says of the only policy, and of the lines."""
    with check(read_policies([POLICY]), logs) as outcome:
        document = report.to_json(outcome, report.results(outcome))
    found: dict[str, Any] = document["policies"][0] | {"lines": document["lines"]}
    return found


def verdicts(logs: list[str]) -> dict[str, int]:
    """The verdicts that were given."""
    return {name: count for name, count in judge(logs)["verdicts"].items() if count}


def test_time_stamps_of_kubectl_are_taken_off(tmp_path: Path) -> None:
    """`kubectl logs --timestamps` gives the same verdicts as without."""
    logs = recordings.read("leak")
    stamped = {
        pod: [b"2026-11-22T15:13:00.123456789Z " + line for line in lines]
        for pod, lines in logs.items()
    }

    assert verdicts(recordings.write_plain(stamped, tmp_path)) == {"matched": 1817, "leak": 61}


def test_pieces_of_lines_are_joined(tmp_path: Path) -> None:
    """The runtime's own files of long lines are judged as the lines are; each piece is counted."""
    logs = recordings.read("leak")
    pieces = {
        pod: [
            b"2026-11-22T15:13:00.%09dZ stdout %s %s\n" % (2 * n + half, tag, part)
            for n, line in enumerate(lines)
            for half, tag, part in ((0, b"P", line[:150]), (1, b"F", line[150:].rstrip()))
        ]
        for pod, lines in logs.items()
    }

    found = judge(recordings.write_plain(pieces, tmp_path))

    count = sum(len(lines) for lines in logs.values())
    assert {name: n for name, n in found["verdicts"].items() if n} == {"matched": 1817, "leak": 61}
    assert (found["lines"]["observations"], found["lines"]["ignored"]) == (count, count)
    assert found["lines"]["quarantined"] == 0


def in_pieces(lines: list[bytes]) -> list[bytes]:
    """Lines as the runtime's file has long ones, with a line of the other stream in each."""
    return [
        b"2026-11-22T15:13:00.%09dZ %s\n" % (3 * n + part, text)
        for n, line in enumerate(lines)
        for part, text in (
            (0, b"stdout P " + line[:150]),
            (1, b"stderr F some warning"),
            (2, b"stdout F " + line[150:].rstrip()),
        )
    ]


def test_pieces_are_joined_wherever_a_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read in chunks, and no chunk ends within a line; findings show the whole line."""
    monkeypatch.setattr(sources, "CHUNK_BYTES", 1000)
    logs = {pod: in_pieces(lines) for pod, lines in recordings.read("leak").items()}

    found = judge(recordings.write_plain(logs, tmp_path))

    assert {name: n for name, n in found["verdicts"].items() if n} == {"matched": 1817, "leak": 61}
    assert found["lines"]["quarantined"] == 0
    assert all(finding["request_id"] for finding in found["findings"])


def test_piece_without_its_rest_moves_no_end_of_a_chunk(tmp_path: Path) -> None:
    """A chunk ends where it would, if a line's rest never comes, else where the rest is."""
    lone = b"2026-11-22T15:13:00.000000000Z stderr P lost\n"
    pair = b"2026-11-22T15:13:00.000000001Z stdout %s line\n"
    log = tmp_path / "pod.log"
    log.write_bytes(lone + pair % b"P" + pair % b"F" + pair % b"F")

    with log.open("rb") as file:
        assert whole_end(file, 0, len(lone)) == len(lone)
        first = len(lone + pair % b"P")
        assert whole_end(file, 0, first) == first + len(pair % b"F")


def test_request_in_pieces_is_explained(tmp_path: Path) -> None:
    """`explain` shows the lines of a request that the container runtime split."""
    logs = recordings.read("clean")
    line = logs[MIRROR][0].decode()
    request_id = next(re.finditer(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", line))[0]

    whole, split = (
        explain_files(read_policies([POLICY]), recordings.write_plain(part, tmp_path), request_id)
        for part in (logs, {pod: in_pieces(lines) for pod, lines in logs.items()})
    )

    verdicts_and_lines = [(story.verdicts, len(story.lines)) for story in whole]
    assert [(story.verdicts, len(story.lines)) for story in split] == verdicts_and_lines
    assert verdicts_and_lines[0][0] == {"matched": 1}


def test_labels_that_come_last_tell_the_versions_of_all_lines(tmp_path: Path) -> None:
    """Shippers add none to a pod's first lines, and its name tells nothing; `explain` agrees."""
    file = tmp_path / "mesh.log"
    with file.open("wb") as out:
        for pod, lines in recordings.read("leak").items():
            name, _, version = pod.partition("-v")
            for line in (*lines, lines[-1]):
                labels = {"version": f"v{version[0]}"} if line is lines[-1] else {}
                text = line.decode().rstrip()
                out.write(shipped(text, pod=f"{name}-5d8f9b7c6-{pod[-5:]}", **labels) + b"\n")
    line = recordings.read("leak")[MIRROR][0].decode()
    request_id = next(re.finditer(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", line))[0]

    assert verdicts([str(file)]) == {"matched": 1817, "leak": 61}
    told, named = (
        [story.verdicts for story in explain_files(read_policies([POLICY]), logs, request_id)]
        for logs in ([str(file)], recordings.write_plain(recordings.read("leak"), tmp_path))
    )
    assert told == named


def test_line_that_only_looks_like_a_piece_is_a_line(tmp_path: Path) -> None:
    """Lines in the runtime's tag of a piece, joined by a shipper, are judged as they are."""
    logs = {
        pod: [
            json.dumps({"log": line.decode().rstrip(), "stream": "stdout", "time": f"{n}"}).encode()
            + b"\n"
            for n, line in enumerate(lines)
        ]
        for pod, lines in recordings.read("leak").items()
    }

    found = judge(recordings.write_plain(logs, tmp_path))

    assert {name: n for name, n in found["verdicts"].items() if n} == {"matched": 1817, "leak": 61}
    assert all(finding["request_id"] for finding in found["findings"])


def test_prefixes_of_kubectl_name_their_pods(tmp_path: Path) -> None:
    """`kubectl logs --prefix` of many pods in one file tells them apart."""
    lines = [
        b"[pod/%s/istio-proxy] %s" % (pod.encode(), line)
        for pod, part in recordings.read("leak").items()
        for line in part
    ]
    (tmp_path / "all.txt").write_bytes(b"".join(lines))

    assert verdicts([str(tmp_path / "all.txt")]) == {"matched": 1817, "leak": 61}


def test_lines_that_cannot_be_read_may_be_the_copies(tmp_path: Path) -> None:
    """Where the mirror's lines are behind an unknown prefix, what lacks is unverifiable."""
    logs = recordings.read("clean")
    logs[MIRROR] = [b"some prefix | " + line for line in logs[MIRROR]]

    found = judge(recordings.write_plain(logs, tmp_path))

    assert found["statement"] == "not_proven"
    assert found["verdicts"]["missing"] == 0
    assert found["verdicts"]["unverifiable"] == len(logs[MIRROR])
    assert found["lines"]["quarantined"] == len(logs[MIRROR])


def test_unreadable_lines_of_the_primary_excuse_nothing(tmp_path: Path) -> None:
    """Quarantined lines of v2 are no copies: what lacks at v1 stays missing."""
    logs = recordings.read("no_mirror")
    primary = next(pod for pod in logs if "-v2-" in pod)
    logs[primary] += [b"some prefix | " + line for line in logs[primary]]

    assert verdicts(recordings.write_plain(logs, tmp_path)) == {"missing": 376}


def test_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    """A file that an editor saved with a byte order mark loses no line."""
    logs = recordings.read("clean")
    for lines in logs.values():
        lines[0] = b"\xef\xbb\xbf" + lines[0]

    assert verdicts(recordings.write_plain(logs, tmp_path)) == {"matched": 497}


def test_zeros_of_a_crashed_node_are_one_bad_line(tmp_path: Path) -> None:
    """A file system that was not unmounted leaves NULs where a line should be."""
    logs = recordings.read("clean")
    logs["frontend-v1-6c9d8f7b5d-x2x7p"][1:1] = [b"\0" * 300 + b"\n"]

    assert verdicts(recordings.write_plain(logs, tmp_path)) == {"matched": 497}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v1.log.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "is binary, no log"),
        ("v1.log.zst", b"\x28\xb5\x2f\xfdabcdefgh\n", "is binary, no log"),
        ("notes.txt", b"buy milk\n" * 3, "none of 3 lines is an istio-proxy access log"),
    ],
)
def test_file_that_is_no_log_is_refused_in_one_line(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    """Exit status 2, one line that names the file, nothing on standard output."""
    (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-m", "verifier", "check", "--policy", str(POLICY), "--json"]

    done = subprocess.run(
        [*command, str(tmp_path / name)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert name in done.stderr
    assert message in done.stderr


def test_ended_check_leaves_no_files(tmp_path: Path) -> None:
    """SIGTERM ends `check` and takes its temporary files away."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    log = tmp_path / "frontend.log"
    log.write_bytes(b"".join(recordings.read("leak")["frontend-v1-6c9d8f7b5d-x2x7p"]) * 200)
    process = subprocess.Popen(
        [sys.executable, "-m", "verifier", "check", "--policy", str(POLICY), str(log)],
        env={"TMPDIR": str(temporary), "PATH": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not any(temporary.glob("*/spill/*")) and time.monotonic() < deadline:
        time.sleep(0.01)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert list(temporary.iterdir()) == []


def test_full_disk_behind_the_output_is_no_verdict(tmp_path: Path) -> None:
    """Output that cannot be written is exit status 2, never that of a violated policy."""
    logs = recordings.write_plain(recordings.read("clean"), tmp_path)
    command = [sys.executable, "-m", "verifier", "check", "--policy", str(POLICY), "--json", *logs]

    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)

    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_output_is_one_json_object(tmp_path: Path) -> None:
    """With `--json` standard output holds one object, whatever was quarantined beside it."""
    logs = recordings.read("clean")
    logs[MIRROR].append(b'[2026-11-22T15:11:42.902Z] "GET / HTTP/1.1" cut')
    arguments = recordings.write_plain(logs, tmp_path)
    command = [sys.executable, "-m", "verifier", "check", "--policy", str(POLICY), "--json"]

    done = subprocess.run([*command, *arguments], capture_output=True, check=False)

    assert json.loads(done.stdout)["lines"]["quarantined"] == 1
    assert b"quarantined" in done.stderr
