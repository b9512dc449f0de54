"""Lines that a container runtime split: what becomes of their pieces, record by record."""

from __future__ import annotations

import json

import pytest

from collector.batch import Batch, Watch
from collector.envelopes import joining
from collector.envelopes.joining import HOLD_US, HeldPiece
from collector.formats.parse import MAX_LINE_CHARACTERS
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.sources.protocol import Partition, Record
from tests.lines import HOST, START_US, client_line

P0 = Partition("logs", 0)
NOW_US = START_US + 10_000_000
WATCH = Watch(HostTable([HOST]), 7)
LINE = client_line("a", path="/weather?day=" + "x" * 40_000)
CUT = 16_384


class Bench:
    """A reader over one partition, and what its batches summed up to."""

    def __init__(self) -> None:
        self.reader = self.new_reader()
        self.held: dict[tuple[int, int], HeldPiece] = {}
        self.offset = 0
        self.batches: list[Batch] = []

    @staticmethod
    def new_reader() -> Reader:
        """A reader that knows nothing yet."""
        return Reader(b"secret", ["istio-proxy"], lambda _: Identity(), PoisonLimits())

    def read(self, *values: bytes, at_us: int = NOW_US) -> Batch:
        """One batch of these values; the store's copy of what is held follows it."""
        records = [Record(self.offset + n, at_us, value) for n, value in enumerate(values)]
        batch = self.reader.read(P0, self.offset, records, WATCH, at_us)
        self.offset += len(values)
        self.keep(batch)
        return batch

    def keep(self, batch: Batch) -> None:
        """What the database does with a batch."""
        self.batches.append(batch)
        for place in batch.unheld:
            del self.held[place]
        self.held.update({piece.place: piece for piece in batch.held})
        assert batch.read == batch.stored + batch.ignored + batch.quarantined
        assert sum(one.pieces for one in self.batches) == len(self.held)

    def restart(self) -> None:
        """Another process reads on, with what is stored."""
        self.reader = self.new_reader()
        self.reader.forget(P0, [self.held[place] for place in sorted(self.held)], NOW_US)

    def total(self) -> tuple[int, int, int]:
        """Stored, ignored, quarantined."""
        return (
            sum(one.stored for one in self.batches),
            sum(one.ignored for one in self.batches),
            sum(one.quarantined for one in self.batches),
        )


@pytest.fixture
def bench() -> Bench:
    """A reader."""
    return Bench()


def cri(line: str, pod: str = "front-1", second: int = 42, stream: str = "stdout") -> list[bytes]:
    """A line as containerd writes it and Fluent Bit ships it: pieces, each a record."""
    pieces = [line[at : at + CUT] for at in range(0, len(line), CUT)]
    who = {"pod_name": pod, "namespace_name": "weather", "container_name": "istio-proxy"}
    return [
        json.dumps(
            {
                "log": f"2026-11-22T15:11:{second}.{n:09}Z {stream} "
                f"{'F' if n == len(pieces) - 1 else 'P'} {piece}",
                "kubernetes": who,
            }
        ).encode()
        for n, piece in enumerate(pieces)
    ]


def docker(line: str) -> list[bytes]:
    """The same in Docker's own file: only the last piece has the newline, all share a time."""
    pieces = [line[at : at + CUT] for at in range(0, len(line), CUT)]
    pieces[-1] += "\n"
    time = "2026-11-22T15:11:42.9Z"
    return [json.dumps({"log": p, "stream": "stdout", "time": time}).encode() for p in pieces]


def path_of(bench: Bench) -> list[str]:
    """The paths that were stored."""
    return [seen.observation.log.path for one in bench.batches for seen in one.seen]


@pytest.mark.parametrize("shape", [cri, docker])
def test_the_pieces_of_a_line_make_the_line(bench: Bench, shape: object) -> None:
    """Three records, one line: it counts once, its pieces as ignored, and nothing is left."""
    bench.read(*shape(LINE))  # type: ignore[operator]

    assert (bench.total(), bench.held) == ((1, 2, 0), {})
    assert path_of(bench) == ["/weather?day=" + "x" * 40_000]
    assert bench.batches[0].seen[0].offset == 2


@pytest.mark.parametrize("shape", [cri, docker])
def test_a_restart_between_the_pieces_loses_nothing(bench: Bench, shape: object) -> None:
    """What is held is stored with each batch, and read on with by whoever comes next."""
    for value in shape(LINE):  # type: ignore[operator]
        bench.read(value)
        bench.restart()

    assert (bench.total(), bench.held) == ((1, 2, 0), {})


def test_pieces_of_several_pods_do_not_mix(bench: Bench) -> None:
    """Each pod's pieces make its own line, whatever comes between them."""
    others = client_line("b", path="/weather?day=" + "y" * 40_000)
    both = zip(cri(LINE), cri(others, pod="front-2"), strict=True)

    bench.read(*(value for pair in both for value in pair))

    assert sorted(path[-1] for path in path_of(bench)) == ["x", "y"]
    assert bench.total() == (2, 4, 0)


def test_the_other_stream_of_a_container_does_not_end_a_line(bench: Bench) -> None:
    """Envoy's own words on standard error come between the pieces of an access log."""
    first, second, last = cri(LINE)

    bench.read(first, *cri("warning: hello", stream="stderr"), second, last)

    assert bench.total() == (1, 3, 0)


@pytest.mark.parametrize("times", [[0, 0, 1, 2], [0, 1, 0, 1, 2], [0, 1, 1, 2]])
def test_a_piece_that_is_shipped_again_counts_once(bench: Bench, times: list[int]) -> None:
    """A shipper that begins again somewhere in a line changes nothing."""
    pieces = cri(LINE)

    bench.read(*(pieces[n] for n in times))

    assert path_of(bench) == ["/weather?day=" + "x" * 40_000]
    assert bench.total() == (1, len(times) - 1, 0)


def test_docker_s_line_may_come_again_from_its_beginning(bench: Bench) -> None:
    """Its pieces share one time: only the first one tells itself apart."""
    pieces = docker(LINE)

    bench.read(pieces[0], pieces[1], *pieces)

    assert path_of(bench) == ["/weather?day=" + "x" * 40_000]


def test_docker_s_whole_line_without_newline_is_a_line(bench: Bench) -> None:
    """A container that ends within a line leaves no newline, and no rest."""
    value = {"log": client_line("a"), "stream": "stdout", "time": "2026-11-22T15:11:42.9Z"}

    assert bench.read(json.dumps(value).encode()).stored == 1


@pytest.mark.parametrize("idle", [False, True])
def test_pieces_without_their_rest_are_given_up_in_time(bench: Bench, idle: bool) -> None:
    """With the records that follow, or by the clock where none follows."""
    first, second, _ = cri(LINE)
    bench.read(first, second)
    later_us = NOW_US + HOLD_US + 1

    if idle:
        assert bench.reader.expire(P0, bench.offset, WATCH, later_us - 1000) is None
        batch = bench.reader.expire(P0, bench.offset, WATCH, later_us)
        assert batch is not None
        bench.keep(batch)
        assert (batch.from_offset, batch.to_offset, batch.records) == (2, 2, 0)
    else:
        bench.read(b"noise", at_us=later_us)

    assert (bench.total()[2], bench.held) == (2, {})
    assert [(bad.offset, bad.reason) for bad in bench.batches[-1].poison] == [
        (0, "piece of a line whose rest did not come within 60 s in this partition"),
        (1, "piece of a line whose rest did not come within 60 s in this partition"),
    ]


def test_a_backlog_is_no_reason_to_give_pieces_up(bench: Bench) -> None:
    """Old records may come late: their rest is as old as they are."""
    first, second, last = cri(LINE)
    old_us = NOW_US - 3_600_000_000

    for value in (first, second, last):
        records = [Record(bench.offset, old_us, value)]
        bench.keep(bench.reader.read(P0, bench.offset, records, WATCH, NOW_US))
        bench.offset += 1

    assert bench.total() == (1, 2, 0)


def test_a_whole_line_in_place_of_the_rest_is_read(bench: Bench) -> None:
    """A rest that was lost at a rotation takes no other line with it."""
    first, _, _ = cri(json.dumps({"start_time": "2026", "path": "x" * 40_000}))

    bench.read(first, *cri(client_line("b")))

    assert bench.total() == (1, 0, 1)
    assert "a whole line came instead" in bench.batches[0].poison[0].reason


def test_a_client_cannot_make_the_end_of_a_line_a_line(bench: Bench) -> None:
    """Aligned to the cut, a forged line ends a real one: together they are in doubt."""
    forged = client_line("forged")
    head = LINE.partition('"curl/8"')[0] + '"'
    agent = "x" * (CUT - len(head) % CUT) + forged + '" "'
    real = head + agent + LINE.partition('"curl/8')[2]
    assert cri(real)[-1].count(b"F [2026-") == 1

    bench.read(*cri(real))

    assert all(seen.observation.log.ambiguous for one in bench.batches for seen in one.seen)


def test_a_line_beyond_all_measure_is_given_up_whole(bench: Bench) -> None:
    """Also its end, that looks like a line by itself; the next line is read again."""
    long = client_line("a", path="/" + "x" * (MAX_LINE_CHARACTERS + 3 * CUT))

    for value in cri(long):
        bench.read(value)
        bench.restart()
    assert (bench.total(), bench.held) == ((0, 0, len(cri(long))), {})

    bench.read(*cri(client_line("b")))
    assert bench.total()[0] == 1


def test_what_is_held_of_a_partition_is_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many pods with half a line: the oldest are given up."""
    monkeypatch.setattr(joining, "MAX_HELD_CHARACTERS", 3 * CUT)

    bench.read(*(cri(LINE, pod=f"pod-{n}")[0] for n in range(5)))

    assert sorted(piece.stream for piece in bench.held.values()) == [
        f"//weather/pod-{n}/istio-proxy/stdout" for n in (2, 3, 4)
    ]
    assert bench.total() == (0, 3, 2)


def test_pieces_of_other_containers_are_not_held(bench: Bench) -> None:
    """An application's long lines are ignored, pieces and all."""
    app = [value.replace(b'"istio-proxy"', b'"app"') for value in cri(LINE)]

    bench.read(*app)

    assert (bench.total(), bench.held) == ((0, 3, 0), {})
