"""The short way of `check` gives what `judge` gives, or declines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.traits import Trait, outcome_traits
from tests.examples import MANY
from verifier.check.fast import Ordinary, ordinary
from verifier.check.records import Kind, Record, to_line
from verifier.pairing.episodes import episodes
from verifier.pairing.judge import judge
from verifier.pairing.lines import MirrorGroup, Side, Terms, Verdict

HORIZON_US = 5_000_000
TERMS = Terms((MirrorGroup("v1", (100.0,)),), HORIZON_US, primary_logged=True)


def hop_bits(hops: int | None) -> int:
    """How X-Forwarded-For's length is packed above the traits."""
    return 0 if hops is None else (hops + 1) << 16


@st.composite
def keys(draw: st.DrawFn) -> tuple[list[Record], list[Kind]]:
    """Lines of one key, mostly ordinary, now and then odd."""
    records, kinds = [], []
    sides = [Side.CLIENT_LIVE, Side.SERVER_LIVE, Side.SERVER_MIRROR] * 3
    sides += [Side.CLIENT_MIRROR, Side.SERVER_UNKNOWN]
    odd = [(404, ""), (503, ""), (0, "DC"), (503, "UF"), (504, "UT")]
    for number in range(draw(st.integers(1, 8))):
        side = draw(st.sampled_from(sides))
        code, flags = draw(st.sampled_from([(200, "")] * 6 + odd))
        hops, mark = draw(st.sampled_from([(0, 0)] * 4 + [(None, 0), (0, Trait.SHADOW_HOST)]))
        if side == Side.SERVER_MIRROR and hops is not None:
            hops = draw(st.sampled_from([1, 1, 1, 0]))
        traits = outcome_traits("GET", code, flags, "") | hop_bits(hops)
        if side == Side.SERVER_MIRROR:
            traits |= mark
        start = draw(st.sampled_from([0, 0, 1000, 2000, 40_000, 60_000, 4_999_000, 5_100_000]))
        duration = draw(st.sampled_from([0, 3, 200]))
        records.append(Record(1, number, start, number, duration, 0, number))
        kinds.append(Kind(0, code, traits, int(side), 0, 0, 0, 0))
    return records, kinds


@settings(max_examples=300 * MANY)
@given(keys())
def test_short_way_gives_what_judging_gives(key: tuple[list[Record], list[Kind]]) -> None:
    """Whenever a key is called ordinary, judging it in full says the same."""
    records, kinds = key
    found = ordinary([tuple(record) for record in records], dict(enumerate(kinds)), HORIZON_US)
    if found is None:
        return

    lines = [to_line(record, kinds[record.kind]) for record in records]
    judged = [judge(episode, TERMS) for episode in episodes(lines, HORIZON_US)]

    assert len(judged) == 1
    assert {Verdict.MATCHED: found.requests} == judged[0].counts
    assert judged[0].findings == []
    assert (found.requests, found.requests) == (judged[0].requests, judged[0].requests_high)
    assert (found.paired, found.differs) == (judged[0].paired, judged[0].status_differs)
    assert (found.control, found.lost) == (judged[0].control, judged[0].control_lost)


def short_way(*sides: tuple[Side, int]) -> Ordinary | None:
    """The short way of lines without anything odd: (side, hops) of each."""
    records = [Record(1, number, 0, number, 5, 0, number) for number in range(len(sides))]
    kinds = [Kind(0, 200, hop_bits(hops), int(side), 0, 0, 0, 0) for side, hops in sides]
    return ordinary([tuple(record) for record in records], dict(enumerate(kinds)), HORIZON_US)


def test_one_request_with_its_copy_is_ordinary() -> None:
    """Sender's line, primary's line and copy take the short way."""
    found = short_way((Side.CLIENT_LIVE, 0), (Side.SERVER_LIVE, 0), (Side.SERVER_MIRROR, 1))

    assert found == Ordinary(requests=1, paired=1, differs=0, control=1, lost=0)


def test_page_that_calls_twice_is_ordinary() -> None:
    """Two requests under one id with two copies take the short way."""
    found = short_way(*[(Side.SERVER_LIVE, 0), (Side.SERVER_MIRROR, 1)] * 2)

    assert found == Ordinary(requests=2, paired=2, differs=0, control=0, lost=0)


def test_arrival_without_a_further_hop_is_not_ordinary() -> None:
    """An arrival that looks like live traffic is judged in full."""
    assert short_way((Side.SERVER_LIVE, 0), (Side.SERVER_MIRROR, 0)) is None
