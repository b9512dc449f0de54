"""Which rows of a key belong together, and whether all of them were read. Pure.

Episodes are cut as in `verifier.pairing.episodes`, with two bounds, without which a service that
sends one request id for ever would have to be read from its first line in every window: a line
keeps its chain open for at most `LONGEST_US`, and a chain whose lines start further apart than
that is endless: its lines are ambiguous, each where it starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from verifier.settle.windows import Span
from verifier.tables import LONG_US

LONGEST_US: Final = 300_000_000
"""Retries come within seconds; nothing that starts five minutes later is the same request."""


class Chain(msgspec.Struct):
    """Rows of one key that are chained by gaps up to the horizon, by start."""

    rows: list[Any]
    end_us: int
    """The latest end that keeps it open."""

    @property
    def start_us(self) -> int:
        """Start of its first row."""
        return int(self.rows[0].start_us)

    @property
    def is_endless(self) -> bool:
        """Whether its rows start too far apart to be one episode."""
        return bool(self.rows[-1].start_us - self.start_us > LONGEST_US)

    def meets(self, span: Span) -> bool:
        """Whether any of its rows starts in a span."""
        return any(span.start_us <= row.start_us < span.end_us for row in self.rows)


def chains(rows: Iterable[Any], horizon_us: int) -> list[Chain]:
    """The chains of a key's rows, in order of time."""
    found: list[Chain] = []
    for row in sorted(rows, key=lambda row: (row.start_us, row.end_us)):
        end = min(row.end_us, row.start_us + LONGEST_US)
        if found and row.start_us - found[-1].end_us <= horizon_us:
            found[-1].rows.append(row)
            found[-1].end_us = max(found[-1].end_us, end)
        else:
            found.append(Chain([row], end))
    return found


def needed(found: Sequence[Chain], span: Span, horizon_us: int) -> Span | None:
    """What must have been read so that no row of these chains is missed; None: nothing more.

    Only chains with a row in the span count. Endless ones need nothing: more rows leave them so.
    Long lines that started earlier are read besides, see `rows`.
    """
    open_chains = [chain for chain in found if not chain.is_endless and chain.meets(span)]
    if not open_chains:
        return None
    return Span(
        min(chain.start_us for chain in open_chains) - horizon_us - LONG_US,
        max(chain.end_us for chain in open_chains) + horizon_us + 1,
    )
