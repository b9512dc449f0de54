"""Figures: what charts show."""

from __future__ import annotations

from verifier.api.queries.series import MOST_STEPS, Step, step_us
from verifier.page.figures import COLOURS, completeness, verdicts_over_time
from verifier.pairing.lines import Verdict
from verifier.settle.windows import Span

SECOND = 1_000_000


def step(start_s: int, **verdicts: int) -> Step:
    """A step of ten seconds."""
    counts = {verdict.value: 0 for verdict in Verdict} | verdicts
    return Step(start_s * SECOND, 10 * SECOND, sum(verdicts.values()), counts)


def test_every_verdict_has_a_colour() -> None:
    """But pending, which no settled window has."""
    assert set(COLOURS) == {verdict.value for verdict in Verdict} - {"pending"}


def test_bars_stack_what_occurs() -> None:
    """Missing stands on top of matched; what never occurs has no trace."""
    figure = verdicts_over_time([step(0, matched=3), step(10, matched=2, missing=1)])

    assert [trace["name"] for trace in figure["data"]] == ["matched", "missing"]
    assert figure["data"][1]["y"] == [0, 1]
    assert figure["data"][0]["x"] == ["1970-01-01T00:00:00.000Z", "1970-01-01T00:00:10.000Z"]


def test_completeness_leaves_gaps_where_nothing_was_owed() -> None:
    """And the axes show the lowest share, and the whole day."""
    steps = [step(0, matched=3), step(10, exempt=5), step(20, matched=1, missing=1)]

    figure = completeness({"weather/forecast": steps}, 0, 86_400_000_000)

    assert figure["data"][0]["y"] == [100.0, None, 50.0]
    assert figure["layout"]["yaxis"]["range"][0] < 50
    day = ["1970-01-01T00:00:00.000Z", "1970-01-02T00:00:00.000Z"]
    assert figure["layout"]["xaxis"]["range"] == day
    assert completeness({}, 0, 86_400_000_000)["data"] == []


def test_a_chart_has_no_more_steps_than_it_can_show() -> None:
    """From minutes to years; short ranges show single windows."""
    for hours in (1, 24, 24 * 7, 24 * 365):
        length = hours * 3_600 * SECOND
        assert length / step_us(Span(0, length)) <= MOST_STEPS
    assert step_us(Span(0, 600 * SECOND)) == 10 * SECOND
