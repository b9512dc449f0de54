"""What `collector.batch` makes of records."""

from __future__ import annotations

import pytest

from collector.batch import SIGN_US, Batch, Watch
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import MAX_SKEW_US, Reader
from collector.records import Identity
from collector.sources.protocol import Partition, Record
from tests.lines import HOST, START_US, client_line, shipped

P0 = Partition("logs", 0)
NOW_US = START_US + 10_000_000
WATCH = Watch(HostTable([HOST]), 7)
END_US = START_US + 4_000


def reader(poison_limit: int = 1000, share: float = 1.0, window: int = 1000) -> Reader:
    """A reader with a known secret."""
    limits = PoisonLimits(poison_limit, share, window)
    return Reader(b"secret", ["istio-proxy"], lambda _: Identity(cluster="east"), limits)


def read(*values: bytes, at_us: int = NOW_US, poison_limit: int = 1000) -> Batch:
    """One batch of values, from offset 10."""
    records = [Record(10 + n, at_us, value) for n, value in enumerate(values)]
    return reader(poison_limit).read(P0, 10, records, WATCH, NOW_US)


def test_every_line_is_counted_exactly_once() -> None:
    """Whatever comes, read = stored + ignored + quarantined."""
    watched = shipped(client_line("a"))
    other = shipped(client_line("b", host="other.weather.svc.cluster.local"))
    poison = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken'
    beat = b'{"mirrorproof":"heartbeat","node":"n"}'

    batch = read(watched, other, b"hello", poison, beat, b"", watched + b"\n" + watched)

    assert (batch.records, batch.read) == (7, 8)
    assert (batch.stored, batch.ignored, batch.quarantined, batch.heartbeats) == (3, 4, 1, 1)
    assert batch.read == batch.stored + batch.ignored + batch.quarantined
    assert (batch.from_offset, batch.to_offset, batch.policy_version_id) == (10, 17, 7)


def test_each_line_knows_where_it_was_read() -> None:
    """Offset of the record and position within it."""
    line = client_line("a").encode()

    batch = read(b"x", line + b"\nnoise\n" + line)

    assert [(seen.offset, seen.item) for seen in batch.seen] == [(11, 0), (11, 2)]


def test_the_default_identity_fills_what_the_envelope_lacks() -> None:
    """The cluster comes from the settings, the pod from the envelope."""
    (seen,) = read(shipped(client_line("a"))).seen

    assert (seen.observation.pod.cluster, seen.observation.pod.pod) == ("east", "front-1")


def test_lines_of_other_containers_are_ignored() -> None:
    """An application cannot forge the proxy's lines by printing them."""
    forged = shipped(client_line("a")).replace(b"istio-proxy", b"app")

    assert read(forged).ignored == 1


def test_unwatched_lines_move_the_watermark_too() -> None:
    """Event time is the partition's, whoever's lines carry it."""
    other = client_line("b", host="other.weather.svc.cluster.local")

    assert read(other.encode()).watermark_us == END_US


@pytest.mark.parametrize("ahead_us", [MAX_SKEW_US + 1000, 10**15])
def test_a_clock_that_runs_ahead_moves_nothing(ahead_us: int) -> None:
    """A line that ends long after its record was written has a wrong clock."""
    wild = shipped(client_line("a", start_us=NOW_US + ahead_us))

    batch = read(shipped(client_line("b")), wild)

    assert (batch.watermark_us, batch.skewed, batch.stored) == (END_US, 1, 2)


def test_event_time_never_runs_ahead_of_the_record() -> None:
    """A line ended before it was sent, whatever its pod's clock says."""
    ahead = shipped(client_line("a", start_us=NOW_US + 20_000_000))

    batch = read(ahead, at_us=NOW_US)

    assert (batch.watermark_us, batch.skewed) == (NOW_US, 0)
    assert batch.nodes == {("east", "node-a"): NOW_US}


def test_pods_with_wild_clocks_are_named() -> None:
    """With how far off their last line was, ahead or behind."""
    ahead = shipped(client_line("a", start_us=NOW_US + 3_600_000_000), pod="fast")
    behind = shipped(client_line("b", start_us=NOW_US - 3_600_000_000), pod="slow")

    wild = read(ahead, behind, ahead, shipped(client_line("c"))).wild

    assert {name[2]: (one.lines, one.off_us) for name, one in wild.items()} == {
        "fast": (2, 3_600_004_000),
        "slow": (1, -3_599_996_000),
    }


def test_old_lines_of_a_file_are_no_wild_clock() -> None:
    """A record without a time tells nothing of clocks."""
    old = shipped(client_line("b", start_us=NOW_US - 3_600_000_000))

    assert read(old, at_us=0).wild == {}


def test_each_stretch_in_which_a_node_was_heard_is_noted() -> None:
    """Five seconds each, by the ends of its lines."""
    later = shipped(client_line("b", start_us=START_US + SIGN_US))

    batch = read(shipped(client_line("a")), later)

    assert batch.signs == {("east", "node-a"): {END_US // SIGN_US, END_US // SIGN_US + 1}}


def test_a_record_without_time_is_measured_by_our_clock() -> None:
    """Files have no record time."""
    wild = shipped(client_line("a", start_us=NOW_US + MAX_SKEW_US + 1000))

    assert read(wild, at_us=0).skewed == 1


def test_a_record_from_the_future_does_not_vouch_for_its_lines() -> None:
    """Proxy and shipper share a clock: when it is wrong, so is the record's time."""
    wild = shipped(client_line("a", start_us=NOW_US + 10**12))

    assert read(wild, at_us=NOW_US + 10**12).watermark_us is None


def test_lines_and_heartbeats_show_that_a_node_is_alive() -> None:
    """A node's log path is known alive until the end of the last line that came through it."""
    beat = b'{"mirrorproof":"heartbeat","node":"node-b","time":"2026-11-22T15:11:50Z"}'
    noise = shipped("Envoy proxy is ready", node="node-c")

    batch = read(shipped(client_line("a")), beat, noise)

    assert batch.nodes == {
        ("east", "node-a"): END_US,
        ("east", "node-b"): START_US + 7_100_000,
        ("east", "node-c"): NOW_US,
    }


def test_quarantine_keeps_enough_to_find_the_line_again() -> None:
    """Offset, reason, a bounded prefix, length and hash."""
    line = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" ' + b"x" * 10_000

    (poison,) = read(line).poison

    assert (poison.offset, poison.length, len(poison.prefix)) == (10, len(line), 4096)
    assert poison.reason


def test_nothing_but_poison_stops_the_partition() -> None:
    """After the limit the batch ends and says why; the rest is not read."""
    poison = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken'

    batch = read(*[poison] * 5, poison_limit=3)

    assert (batch.to_offset, batch.quarantined) == (13, 3)
    assert "3 lines in a row" in batch.stop_reason


def test_one_good_line_ends_a_row_of_poison() -> None:
    """Only a row without a single good line stops anything."""
    poison = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken'

    batch = read(poison, poison, b"fine", poison, poison, poison_limit=3)

    assert (batch.stop_reason, batch.to_offset) == ("", 15)


def test_the_row_of_poison_is_counted_over_batches() -> None:
    """Small polls do not hide a broken partition; beginning anew forgets the row."""
    poison = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken'
    records = [Record(0, NOW_US, poison), Record(1, NOW_US, poison)]
    used = reader(poison_limit=3)

    used.read(P0, 0, records, WATCH, NOW_US)

    assert used.read(P0, 2, records, WATCH, NOW_US).stop_reason
    used.forget(P0)
    assert not used.read(P0, 2, records, WATCH, NOW_US).stop_reason


def test_much_poison_among_good_lines_stops_the_partition() -> None:
    """Nine of ten lines that nobody can read are a broken partition, too."""
    poison = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken'
    values = [b"fine", *[poison] * 9] * 3
    records = [Record(n, NOW_US, value) for n, value in enumerate(values)]

    batch = reader(share=0.85, window=20).read(P0, 0, records, WATCH, NOW_US)

    assert "18 of 20 lines" in batch.stop_reason
    assert batch.to_offset == 20


def test_little_poison_among_good_lines_stops_nothing() -> None:
    """However long it goes on, and however good the past was."""
    poison = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken'
    used = reader(share=0.5, window=20)
    some = [Record(n, NOW_US, value) for n, value in enumerate([b"fine", poison, b"fine"] * 100)]
    good = [Record(300 + n, NOW_US, b"fine") for n in range(10_000)]
    bad = [Record(10_300 + n, NOW_US, value) for n, value in enumerate([poison] * 9 + [b"fine"])]

    assert not used.read(P0, 0, some, WATCH, NOW_US).stop_reason
    assert not used.read(P0, 300, good, WATCH, NOW_US).stop_reason
    assert not used.read(P0, 10_300, bad, WATCH, NOW_US).stop_reason
    assert any(used.read(P0, 10_310, bad, WATCH, NOW_US).stop_reason for _ in range(10))


def test_poison_knows_who_wrote_it_and_when() -> None:
    """An operator goes to the pod, not to the offset."""
    (poison,) = read(shipped('[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken')).poison

    assert (poison.identity.pod, poison.identity.node) == ("front-1", "node-a")
    assert poison.record_us == NOW_US
