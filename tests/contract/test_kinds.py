"""Who wrote when: what collectors note of a batch is what its lines say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, delete, select

from collector.batch import Batch, Watch
from collector.db import positions
from collector.db.engine import open_engine, reading, writing
from collector.db.presence import KindInSecond
from collector.db.sign_tables import presence
from collector.db.tables import batch
from collector.db.writes import Writer
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity, Role
from collector.redact import Redactor
from collector.sources.protocol import Partition, Record
from tests.lines import HOST, START_US, client_line, shipped
from verifier.settle.kinds import kinds_in, kinds_of
from verifier.settle.windows import SECOND_US, Span

pytestmark = pytest.mark.integration
OTHER = "news.weather.svc.cluster.local"
WATCH = Watch(HostTable([HOST, OTHER]), 7)
PARTITION = Partition("logs", 0)
NOW_US = START_US + 60 * SECOND_US


@pytest.fixture
def engine(migrated_database_url: str) -> Iterator[Engine]:
    """Each database, with the newest schema, and lines of three batches."""
    engine = open_engine(migrated_database_url)
    with writing(engine) as connection:
        positions.create(connection, PARTITION, 0, "topic-1", NOW_US)
        held = positions.claim(connection, PARTITION, "me", NOW_US)
    writer = Writer(engine, Redactor([]))
    for number in range(3):
        writer.write([_read(number)], {PARTITION: held}, NOW_US + number)
    yield engine
    engine.dispose()


def _read(number: int) -> Batch:
    """Forty lines, of two pods and hosts, over some seconds; one batch is a second later."""
    values = [
        shipped(
            client_line(
                f"{number}-{line}",
                start_us=START_US + (line * 137_000 + number * SECOND_US),
                host=OTHER if line % 5 == 0 else HOST,
            ),
            pod=f"front-{line % 2}",
        )
        for line in range(40)
    ]
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())
    records = [Record(number * 40 + n, NOW_US, value) for n, value in enumerate(values)]
    return reader.read(PARTITION, number * 40, records, WATCH, NOW_US)


def _summed(kinds: Iterator[KindInSecond]) -> Counter[tuple[object, ...]]:
    """Batches may tell of the same second."""
    found: Counter[tuple[object, ...]] = Counter()
    for one in kinds:
        kind = (one.second, one.host_id, one.role, one.pod_id, one.destination_id)
        found[kind] += one.lines
    return found


def test_notes_say_what_the_lines_say(engine: Engine) -> None:
    """Of batches with a note, of those without, and of both together."""
    with reading(engine) as connection:
        ids = list(connection.scalars(select(batch.c.id).order_by(batch.c.id)))
        noted = _summed(kinds_of(connection, ids))
    told = []
    for gone in (ids[:1], ids):
        with writing(engine) as connection:
            connection.execute(delete(presence).where(presence.c.id.in_(gone)))
        with reading(engine) as connection:
            told.append(_summed(kinds_of(connection, ids)))

    assert told == [noted, noted]
    assert sum(noted.values()) == 120
    assert {kind[2] for kind in noted} == {int(Role.CLIENT)}
    assert len({kind[3] for kind in noted}) == 2


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_span_is_told_in_whole_seconds(engine: Engine, *, is_noted: bool) -> None:
    """What it cuts, too, and only of the hosts that are asked for."""
    with writing(engine) as connection:
        if not is_noted:
            connection.execute(delete(presence))
    span = Span(START_US + 1_500_000, START_US + 2_500_000)
    first, last = span.start_us // SECOND_US, (span.end_us - 1) // SECOND_US

    with reading(engine) as connection:
        one = _summed(kinds_in(connection, {1}, span))
        both = _summed(kinds_in(connection, {1, 2}, span))

    assert {kind[0] for kind in one} == set(range(first, last + 1))
    assert {kind[1] for kind in one} == {1}
    assert {kind for kind in both if kind[1] == 1} == set(one)
    assert len(both) > len(one)
