from __future__ import annotations

from pathlib import Path

from collector.envelopes.found import Heartbeat, RawLine
from collector.envelopes.unwrap import unwrap
from collector.records import Identity
from verifier.demo.pods import FORECASTS
from verifier.demo.shipper import render_heartbeat, render_record
from verifier.demo.tail import Tail


def test_a_record_unwraps_to_its_line_and_its_pod() -> None:
    """What the shipper wraps, the collector unwraps."""
    (pod, *_) = FORECASTS

    (piece,) = unwrap(render_record('[2026] "GET /ü" 200\n', pod, 1_795_000_000.25))

    assert isinstance(piece, RawLine)
    assert piece.text == '[2026] "GET /ü" 200'
    assert piece.identity == Identity(
        pod=pod.name,
        namespace="weather",
        node="node-a",
        container="istio-proxy",
        labels=(("app", "forecast"), ("version", "v1")),
    )


def test_a_heartbeat_is_one_to_the_collector() -> None:
    """Node and time arrive as they were sent."""
    (piece,) = unwrap(render_heartbeat("node-b", 1_795_000_000.25))

    assert piece == Heartbeat(Identity(node="node-b"), 1_795_000_000_250_000)


def test_a_tail_gives_each_line_once(tmp_path: Path) -> None:
    """Lines come in order, each once, as the file grows."""
    path = tmp_path / "pod.log"
    tail = Tail(path)
    missing = tail.read_lines()
    path.write_text("one\ntwo\n")
    first = tail.read_lines()
    with path.open("a") as file:
        file.write("three\n")

    assert (missing, first) == ([], ["one\n", "two\n"])
    assert tail.read_lines() == ["three\n"]
    assert tail.read_lines() == []


def test_a_tail_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    """A line that is half written is not shipped in two pieces."""
    path = tmp_path / "pod.log"
    path.write_text("one\ntw")
    tail = Tail(path)

    assert tail.read_lines() == ["one\n"]
    with path.open("a") as file:
        file.write("o\n")
    assert tail.read_lines() == ["two\n"]


def test_a_tail_splits_at_newlines_only(tmp_path: Path) -> None:
    """Other characters that Python takes for line ends may stand in a user agent."""
    path = tmp_path / "pod.log"
    path.write_bytes("a\u2028b\x0bc\x85d\n".encode())

    assert Tail(path).read_lines() == ["a\u2028b\x0bc\x85d\n"]


def test_a_tail_reads_lines_longer_than_its_buffer(tmp_path: Path) -> None:
    """A line of 3 MiB is one line."""
    path = tmp_path / "pod.log"
    path.write_text("x" * (3 << 20) + "\nnext\n")
    tail = Tail(path)

    lines = tail.read_lines() + tail.read_lines()

    assert [len(line) for line in lines] == [(3 << 20) + 1, 5]
