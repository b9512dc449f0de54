"""The facts by which ordinary keys are counted, as the database packs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Connection, Integer, create_engine, literal, select

from collector.traits import HOP_LIMIT, HOP_SHIFT, Trait
from tests.factories import attempt, client, shadow
from verifier.pairing.arrivals import sort_arrivals
from verifier.pairing.lines import Marker
from verifier.settle.facts import (
    MOST_CODE,
    Fact,
    hops_of,
    is_unmarked,
    number_of,
    pack,
    reference_of,
    unpack,
)

OTHER_BITS = Trait.FAILED | Trait.PLAIN | Trait.UNMIRRORED | Trait.OTHER_NAME
CODES = st.integers(0, MOST_CODE)
HOPS = st.integers(0, HOP_LIMIT + 1)
MARKS = st.sampled_from([0, Trait.SHADOW_HOST, Trait.MARKED, Trait.SHADOW_HOST | Trait.MARKED])
LINES = st.tuples(CODES, MARKS, HOPS)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """A database in memory that only computes."""
    engine = create_engine("sqlite://")
    with engine.connect() as found:
        yield found
    engine.dispose()


def _number(line: tuple[int, int, int]) -> ColumnElement[int]:
    code, marks, hops = line
    return number_of(literal(code), literal(marks | hops << HOP_SHIFT | OTHER_BITS))


def _fact(line: tuple[int, int, int]) -> Fact:
    code, marks, hops = line
    return Fact(code, marks // Trait.SHADOW_HOST, hops if hops <= HOP_LIMIT else 0)


@given(sides=st.lists(st.none() | LINES, min_size=2, max_size=7))
def test_facts_come_out_as_the_database_packed_them(
    connection: Connection, sides: list[tuple[int, int, int] | None]
) -> None:
    """Of two to seven sides, those without a line too, in numbers that databases have room for."""
    numbers = [literal(None, Integer) if line is None else _number(line) for line in sides]

    packed = connection.execute(select(*pack(numbers))).one()

    assert max(packed) < 1 << 63
    nothing = Fact(0, 0, 0)
    assert unpack(packed, len(sides)) == [nothing if s is None else _fact(s) for s in sides]


@given(line=LINES)
def test_sql_reads_marks_and_addresses_of_a_fact(
    connection: Connection, line: tuple[int, int, int]
) -> None:
    """As they are read from the numbers that keys are counted by."""
    number = _number(line)

    found = connection.execute(select(is_unmarked(number), hops_of(number))).one()

    assert tuple(found) == (_fact(line).marks == 0, _fact(line).hops)


@given(sender=HOPS, primary=HOPS, arrival=HOPS, marks=MARKS)
def test_a_copy_is_told_by_what_the_pure_function_says(
    sender: int, primary: int, arrival: int, marks: int
) -> None:
    """Of one line a side, at a mirror that gets no live traffic."""
    lines = [client(), attempt(), shadow()]
    hops = [sender << HOP_SHIFT, primary << HOP_SHIFT, arrival << HOP_SHIFT | marks]
    for line, traits in zip(lines, hops, strict=True):
        line.traits = traits
    told = sort_arrivals(lines[2:], lines[:2]).markers

    facts = [_fact((200, traits & 0xFFFF, traits >> HOP_SHIFT)) for traits in hops]

    assert facts[2].marker(reference_of(facts[:2])) == next(iter(told), Marker.POLICY)
