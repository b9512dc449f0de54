"""Chains: the rows that must be read together."""

from __future__ import annotations

from dataclasses import dataclass

from verifier.settle.chains import LONGEST_US, chains, needed
from verifier.settle.windows import Span
from verifier.tables import LONG_US

SECOND = 1_000_000
HORIZON = 5 * SECOND


@dataclass
class Row:
    start_us: int
    end_us: int


def row(start_s: float, duration_s: float = 0.0) -> Row:
    """A line, in seconds."""
    return Row(round(start_s * SECOND), round((start_s + duration_s) * SECOND))


def test_a_gap_longer_than_the_horizon_cuts() -> None:
    """The gap is from the latest end to the next start."""
    found = chains([row(0), row(5), row(10.1)], HORIZON)

    assert [len(chain.rows) for chain in found] == [2, 1]


def test_a_line_keeps_its_chain_open_for_a_bounded_time() -> None:
    """A stream of an hour is not one request with everything in that hour."""
    found = chains([row(0, 3600), row(1), row(1800)], HORIZON)

    assert [len(chain.rows) for chain in found] == [2, 1]


def test_a_key_that_never_rests_is_endless() -> None:
    """Its first line may be days away; nobody goes and looks."""
    (chain,) = chains([row(second) for second in range(0, 310, 5)], HORIZON)

    assert chain.is_endless
    assert needed([chain], Span(0, 10 * SECOND), HORIZON) is None


def test_a_chain_needs_what_may_join_it() -> None:
    """Before it as far as a short line reaches, behind it a horizon."""
    found = chains([row(0), row(3, 20)], HORIZON)

    assert needed(found, Span(0, 1), HORIZON) == Span(-HORIZON - LONG_US, 28 * SECOND + 1)


def test_chains_of_other_windows_need_nothing() -> None:
    """They are another window's business."""
    assert needed(chains([row(50)], HORIZON), Span(0, SECOND), HORIZON) is None


def test_a_chain_as_long_as_allowed_is_an_episode() -> None:
    """The limit is inclusive."""
    rows = [Row(start, start) for start in range(0, LONGEST_US + 1, HORIZON)]

    (chain,) = chains(rows, HORIZON)

    assert not chain.is_endless
