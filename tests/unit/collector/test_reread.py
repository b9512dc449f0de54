"""What records that are read again change: every line counts once, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from collector.batch import Batch, Watch
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.reread import Change, Spot, Waiting, change_of, read_again
from collector.sources.protocol import Partition, Record
from tests.lines import HOST, START_US, client_line, shipped

P0 = Partition("logs", 0)
NOW_US = START_US + 10_000_000
BROKEN = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" \xff\x00broken'
AS_READ = BROKEN.decode("utf-8", "replace").encode()
"""What quarantine has the hash of."""
VALUES = (shipped(client_line("a")), b"noise", BROKEN, shipped(client_line("b")))


def again(
    stored: Sequence[Spot] = (),
    waiting: Sequence[Waiting] = (),
    refused: dict[Spot, str] | None = None,
) -> Change:
    """The four records, read again."""
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())
    watch = Watch(HostTable([HOST]), 7)

    def read(records: Sequence[Record]) -> Batch:
        return reader.read(P0, records[0].offset, list(records), watch, NOW_US)

    records = [Record(offset, NOW_US, value) for offset, value in enumerate(VALUES)]
    found = read_again(records, (0, len(VALUES)), waiting, read)
    return change_of(P0, found, frozenset(stored), refused or {})


def counts(change: Change) -> tuple[int, int, int, int]:
    """Read, stored, ignored and quarantined."""
    batch = change.batch
    assert batch.read == batch.stored + batch.ignored + batch.quarantined
    return batch.read, batch.stored, batch.ignored, batch.quarantined


def entry(offset: int, value: bytes, number: int = 5) -> Waiting:
    """A value in quarantine."""
    return Waiting(number, offset, 1, is_gap=False, sha256=sha256(value).digest())


GAP = Waiting(9, 1, 3, is_gap=True, sha256=b"")


def test_what_is_stored_stays() -> None:
    """Nothing is written."""
    change = again(stored=[(0, 0), (3, 0)], waiting=[entry(2, AS_READ)])

    assert (change.is_news, change.repeated, change.unreadable) == (False, 2, 1)


def test_a_line_that_was_ignored_moves_to_the_stored_ones() -> None:
    """The sums stay."""
    change = again(stored=[(0, 0)], waiting=[entry(2, AS_READ)])

    assert counts(change) == (0, 1, -1, 0)
    assert (change.done, change.batch.replayed) == ([], 0)


def test_a_line_that_was_quarantined_leaves_quarantine() -> None:
    """A value that is one line, or one line of many in an envelope."""
    change = again(stored=[(0, 0)], waiting=[entry(3, VALUES[3])])
    of_line = again(stored=[(0, 0)], waiting=[entry(3, client_line("b").encode())])

    for found in (change, of_line):
        assert counts(found) == (1, 1, 0, 0)
        assert (found.done, found.batch.replayed) == ([5], 1)


def test_the_records_of_a_gap_are_counted_as_what_they_are() -> None:
    """Nobody had read them."""
    change = again(stored=[(0, 0)], waiting=[GAP])

    assert counts(change) == (3, 1, 1, 1)
    assert (change.filled, change.batch.replayed, change.repeated) == ([(9, 1, 4)], 3, 1)


def test_what_the_database_refuses_is_quarantined_where_nobody_counted_it() -> None:
    """Elsewhere it stays what it was."""
    refused = {(0, 0): "too large", (3, 0): "too large"}

    change = again(waiting=[GAP], refused=refused)

    assert counts(change) == (3, 0, 1, 2)
    assert change.unreadable == 3
