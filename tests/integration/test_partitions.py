"""Partitions on PostgreSQL: made ahead, whatever the size, locking nobody out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from collector.db.engine import open_engine, reading
from collector.db.partitions import DAY_US, HOUR_US, Part, Partitions, list_parts
from tests.lines import START_US

pytestmark = pytest.mark.integration
DAY = START_US // DAY_US * DAY_US


@pytest.fixture
def engine(migrated_postgres_url: str) -> Iterator[Engine]:
    """A migrated database without partitions."""
    found = open_engine(migrated_postgres_url)
    yield found
    found.dispose()


def parts(engine: Engine) -> list[Part]:
    """All partitions."""
    with reading(engine) as connection:
        return list_parts(connection)


def names(engine: Engine) -> list[str]:
    """Their tables."""
    return [part.name for part in parts(engine)]


def test_days_are_made_ahead_and_once(engine: Engine) -> None:
    """Today and the next two days have a partition; replicas may make them one after the other."""
    for _ in range(2):
        Partitions(engine).cover(DAY + 15 * HOUR_US)

    assert names(engine) == [f"observation_202611{day}" for day in (22, 23, 24)]


def test_the_clock_never_gets_there_first(engine: Engine) -> None:
    """Hour by hour through days there is always a partition for now and the next hours."""
    for slot, size_us in (("day", DAY_US), ("hour", HOUR_US)):
        partitions = Partitions(engine, slot)
        begin = DAY if slot == "day" else DAY + 20 * DAY_US
        for hour in range(60):
            now = begin + hour * HOUR_US + 7
            partitions.cover(now)
            ends = [part.end_us for part in parts(engine) if part.begin_us <= now + 2 * HOUR_US]
            assert max(ends) > now + 2 * HOUR_US
        made = [part for part in parts(engine) if part.begin_us >= begin]
        assert {part.end_us - part.begin_us for part in made} == {size_us}


def test_days_and_hours_go_together(engine: Engine) -> None:
    """When the size is changed, new ones fill what the old ones leave, without a gap."""
    Partitions(engine, "day").cover(DAY)
    Partitions(engine, "hour").cover(DAY + 3 * DAY_US - HOUR_US)
    Partitions(engine, "day").cover(DAY + 3 * DAY_US + 2 * HOUR_US)

    found = parts(engine)
    assert [p.end_us for p in found[:-1]] == [p.begin_us for p in found[1:]]
    assert names(engine)[2:6] == [
        "observation_20261124",
        *(f"observation_20261125_0{hour}" for hour in (0, 1, 2)),
    ]
    after = found[[p.begin_us for p in found].index(DAY + 3 * DAY_US + 6 * HOUR_US)]
    assert (after.name, after.end_us) == ("observation_20261125_06", DAY + 4 * DAY_US)


def test_a_reader_does_not_keep_partitions_from_being_made(engine: Engine) -> None:
    """An hour-long query over all lines and a writer do not wait, nor are they waited for."""
    Partitions(engine).cover(DAY)
    with engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM observation"))

        Partitions(engine).cover(DAY + 5 * DAY_US)

        assert names(engine)[-1] == "observation_20261129"
        reader.execute(text("SELECT count(*) FROM observation"))


def test_a_table_that_is_locked_puts_making_off(engine: Engine) -> None:
    """While what is written now has its partition nothing fails; without one it must."""
    partitions = Partitions(engine)
    partitions.cover(DAY)
    with engine.connect() as other:
        other.execute(text("LOCK TABLE observation IN ACCESS EXCLUSIVE MODE"))

        partitions.cover(DAY + 2 * DAY_US)
        with pytest.raises(OperationalError):
            partitions.cover(DAY + 3 * DAY_US)

    partitions.cover(DAY + 3 * DAY_US)
    assert names(engine)[-1] == "observation_20261127"


def test_a_partition_that_vanished_is_made_again(engine: Engine) -> None:
    """After a failed write nothing is taken for known."""
    partitions = Partitions(engine)
    partitions.cover(DAY)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE observation_20261122"))

    partitions.forget()
    partitions.cover(DAY)

    assert names(engine)[0] == "observation_20261122"
