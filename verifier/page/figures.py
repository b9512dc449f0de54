"""What charts show, as Plotly's figures. Colours are names that the page's style knows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from verifier.api.queries.series import Step
from verifier.times import iso_time

COLOURS: Final = {
    "matched": "good",
    "unsampled": "calm",
    "exempt": "faint",
    "unverifiable": "doubt",
    "ambiguous": "doubt-2",
    "orphan": "odd",
    "duplicate": "odd-2",
    "leak": "bad-2",
    "missing": "bad",
}
"""Verdicts from the ground of a stacked chart to its top, and the names of their colours."""


def verdicts_over_time(steps: Sequence[Step]) -> dict[str, Any]:
    """Bars of all verdicts; those that never occur are left out."""
    traces = [
        {
            "type": "bar",
            "name": verdict,
            "x": [iso_time(step.start_us) for step in steps],
            "y": [step.verdicts[verdict] for step in steps],
            "width": [step.size_us / 1000 for step in steps],
            "offset": 0,
            "marker": {"color": f"--{colour}"},
            "hovertemplate": "%{y} " + verdict + "<extra>%{x}</extra>",
        }
        for verdict, colour in COLOURS.items()
        if any(step.verdicts[verdict] for step in steps)
    ]
    return {
        "data": traces,
        "layout": {"barmode": "stack", "yaxis": {"title": {"text": "requests"}}},
    }


def completeness(
    named: Mapping[str, Sequence[Step]], since_us: int, until_us: int
) -> dict[str, Any]:
    """A line for each policy: the share of the owed copies that came.

    Args:
        named: The steps of each policy.
        since_us: Where the axis begins, µs since the epoch; a single step would stretch it.
        until_us: Where it ends.
    """
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": [iso_time(step.start_us) for step in steps],
            "y": [step.completeness for step in steps],
            "connectgaps": False,
            "marker": {"size": 4},
            "hovertemplate": "%{y:.2f} % of " + name + "<extra>%{x}</extra>",
        }
        for name, steps in named.items()
    ]
    lowest = min(
        (
            step.completeness
            for steps in named.values()
            for step in steps
            if step.completeness is not None
        ),
        default=100.0,
    )
    floor = max(0.0, min(99.0, lowest - 5))
    axis = {"title": {"text": "copied"}, "range": [floor, 100.5], "ticksuffix": " %"}
    time = {"range": [iso_time(since_us), iso_time(until_us)]}
    return {"data": traces, "layout": {"xaxis": time, "yaxis": axis}}
