"""The short way of `check` gives what `judge` gives, or declines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.traits import Trait, outcome_traits
from verifier.check.fast import ordinary
from verifier.check.records import Record, to_line
from verifier.pairing.episodes import episodes
from verifier.pairing.judge import judge
from verifier.pairing.lines import MirrorGroup, Side, Terms, Verdict

HORIZON_US = 5_000_000
TERMS = Terms((MirrorGroup("v1", (100.0,)),), HORIZON_US, primary_logged=True)


def hop_bits(hops: int | None) -> int:
    """How X-Forwarded-For's length is packed above the traits."""
    return 0 if hops is None else (hops + 1) << 16


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Lines of one key, mostly ordinary, now and then odd."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        side = draw(
            st.sampled_from(
                [Side.CLIENT_LIVE, Side.SERVER_LIVE, Side.SERVER_MIRROR] * 3 + [Side.CLIENT_MIRROR]
            )
        )
        code, flags = draw(
            st.sampled_from(
                [(200, "")] * 6 + [(404, ""), (503, ""), (0, "DC"), (503, "UF"), (504, "UT")]
            )
        )
        live_hops, shadow = draw(
            st.sampled_from([(0, 0)] * 4 + [(None, 0), (0, Trait.SHADOW_HOST)])
        )
        hops = live_hops
        if side == Side.SERVER_MIRROR and live_hops is not None:
            hops = draw(st.sampled_from([1, 1, 1, 0]))
        traits = outcome_traits("GET", code, flags, "") | hop_bits(hops)
        if side == Side.SERVER_MIRROR:
            traits |= shadow
        start = draw(st.sampled_from([0, 0, 1000, 2000, 40_000, 60_000, 4_999_000, 5_100_000]))
        found.append(
            Record(
                b"k" * 16, number, start, draw(st.sampled_from([0, 3, 200])), traits, code,
                int(side), 0, 0, 0, 0, 0, 0, number,
            )
        )  # fmt: skip
    return found


@settings(max_examples=1500, deadline=None)
@given(records())
def test_short_way_gives_what_judging_gives(group: list[Record]) -> None:
    """Whenever a key is called ordinary, judging it in full says the same."""
    found = ordinary([tuple(record) for record in group], HORIZON_US)
    if found is None:
        return

    judged = [judge(e, TERMS) for e in episodes([to_line(r) for r in group], HORIZON_US)]

    assert len(judged) == 1
    assert {Verdict.MATCHED: found.requests} == judged[0].counts
    assert judged[0].findings == []
    assert (found.requests, found.requests) == (judged[0].requests, judged[0].requests_high)
    assert (found.paired, found.differs) == (judged[0].paired, judged[0].status_differs)
    assert (found.control, found.lost) == (judged[0].control, judged[0].control_lost)


def ordinary_record(side: Side, **fields: int) -> Record:
    """A line without anything odd."""
    hops = hop_bits(1 if side == Side.SERVER_MIRROR else 0)
    base = Record(b"k" * 16, int(side), 0, 5, hops, 200, int(side), 0, 0, 0, 0, 0, 0, 0)
    return base._replace(**fields)


def test_one_request_with_its_copy_is_ordinary() -> None:
    """Sender's line, primary's line and copy take the short way."""
    group = [
        ordinary_record(side) for side in (Side.CLIENT_LIVE, Side.SERVER_LIVE, Side.SERVER_MIRROR)
    ]

    assert ordinary([tuple(r) for r in group], HORIZON_US) == (1, 1, 0, 1, 0)


def test_arrival_without_a_further_hop_is_not_ordinary() -> None:
    """An arrival that looks like live traffic is judged in full."""
    group = [
        ordinary_record(Side.SERVER_LIVE),
        ordinary_record(Side.SERVER_MIRROR, traits=hop_bits(0)),
    ]

    assert ordinary([tuple(r) for r in group], HORIZON_US) is None
