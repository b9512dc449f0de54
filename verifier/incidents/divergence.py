"""Where the mirror's answers differ, as a condition: looked at every ten minutes of event time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from collector.words import first_of
from verifier.incidents.conditions import Condition
from verifier.incidents.event import Kind
from verifier.incidents.kinds import DIVERGENCES
from verifier.incidents.pipeline import Trouble
from verifier.settle.answers import HOUR_US
from verifier.settle.endpoints import endpoints
from verifier.statistics.divergence import LIVE_ERROR, Endpoint

LOOK_US: Final = 600_000_000
"""How often the running hour is looked at."""
LOOK_ERROR: Final = LIVE_ERROR * LOOK_US / HOUR_US
"""Of one look, so that all looks of a hundred years together say once that something diverges
which does not."""


def is_due(from_us: int, to_us: int) -> bool:
    """Whether a look is due when windows up to `to_us` count, and counted up to `from_us`."""
    return from_us // LOOK_US < to_us // LOOK_US


def divergences(connection: Connection, policy: str, counted_us: int) -> dict[Kind, Trouble]:
    """What diverges in the running hour.

    Args:
        connection: The settling transaction.
        policy: Its name.
        counted_us: Up to when windows count.
    """
    hour_us = (counted_us - 1) // HOUR_US * HOUR_US
    return diverging(endpoints(connection, policy, hour_us, counted_us, LOOK_ERROR), hour_us)


def diverging(found: Sequence[Endpoint], hour_us: int) -> dict[Kind, Trouble]:
    """What diverges of what was judged of an hour that began at `hour_us`. Pure."""
    troubles: dict[Kind, Trouble] = {}
    for kind, measure in DIVERGENCES.items():
        names: Mapping[str, str] = {
            one.endpoint: _said(one, measure)
            for one in found
            if measure in one.differences and one.differences[measure].diverges
        }
        if names:
            # The endpoint `all`, if it is among them, comes first, and says the least.
            own = [said for name, said in names.items() if name != "all"] or list(names.values())
            worst = max(
                one.differences[measure].more + one.differences[measure].less
                for one in found
                if one.endpoint in names
            )
            troubles[kind] = Trouble(Condition(worst, hour_us), first_of(own, 1))
    return troubles


def _said(one: Endpoint, measure: str) -> str:
    found = one.differences[measure]
    ways = (found.more, found.less)
    words = {"status": ("higher", "lower"), "latency": ("slower", "faster")}
    more, less = words.get(measure, ("larger", "smaller"))
    return f"{one.endpoint}: {ways[0]:,} {more}, {ways[1]:,} {less} of {found.pairs:,} pairs"
