"""Which settled windows rest on lines that came, or that became something else, since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, select

from verifier.pairing.doubt import REACH_US
from verifier.settle.chains import LONGEST_US, chains
from verifier.settle.clocks import RIGHT, Clocks
from verifier.settle.presence import AFTER_US, BEFORE_US
from verifier.settle.progress import Progress
from verifier.settle.rows import read_rows
from verifier.settle.windows import SECOND_US, Span
from verifier.tables import settled_window

FEW_KEYS: Final = 5_000
"""Up to so many keys their windows are found exactly; beyond, all around them are taken."""
_BEFORE_US: Final = max(REACH_US, AFTER_US) + SECOND_US
_AFTER_US: Final = max(REACH_US, BEFORE_US) + SECOND_US
"""How far around itself a line may change what is said of others."""


def around(
    connection: Connection,
    policy: str,
    seconds: Sequence[int],
    keys: Sequence[bytes],
    progress: Progress,
    horizon_us: int,
    clocks: Clocks = RIGHT,
) -> set[int]:
    """The starts of settled windows of which something may rest on lines that changed.

    Args:
        connection: The settling transaction.
        policy: Its name.
        seconds: In which the lines start, in order.
        keys: Of the lines; more than `FEW_KEYS` are too many to follow.
        progress: How far it is settled.
        horizon_us: Its longest horizon.
        clocks: How far the clocks of its pods are ahead.
    """
    found = _sensitive(connection, policy, seconds, progress)
    if len(keys) > FEW_KEYS:
        reach = LONGEST_US + horizon_us + clocks.most_us
        spans = _spans(seconds, reach, reach)
        found |= {w.start_us for span in spans for w in progress.grid.windows(span)}
    else:
        begin, end = seconds[0] * SECOND_US, (seconds[-1] + 1) * SECOND_US
        span = Span(begin - clocks.most_us, end + clocks.most_us)
        for _, rows in read_rows(connection, keys, span, horizon_us, clocks):
            for chain in chains(rows, horizon_us):
                if chain.meets(span):
                    found |= {progress.grid.window(row.start_us).start_us for row in chain.rows}
    return {start for start in found if start < progress.settled_to_us}


def _spans(seconds: Iterable[int], before_us: int, after_us: int) -> list[Span]:
    """Seconds in order, widened, and joined where they meet."""
    found: list[Span] = []
    for second in seconds:
        begin = second * SECOND_US - before_us
        end = (second + 1) * SECOND_US + after_us
        if found and begin <= found[-1].end_us:
            found[-1] = Span(found[-1].start_us, max(end, found[-1].end_us))
        else:
            found.append(Span(begin, end))
    return found


def _sensitive(
    connection: Connection, policy: str, seconds: Sequence[int], progress: Progress
) -> set[int]:
    """Settled windows around late lines, of which something rests on what their surroundings log.

    Findings do (orphan or unverifiable, duplicate or not), and so does a control group that is
    empty as the primary was not seen to log.
    """
    c = settled_window.c
    found: set[int] = set()
    for span in _spans(seconds, _BEFORE_US, _AFTER_US):
        windows = list(progress.grid.windows(span))
        query = select(c.start_us).where(
            c.policy == policy,
            c.start_us >= windows[0].start_us,
            c.start_us <= windows[-1].start_us,
            c.superseded_us.is_(None),
            (c.findings > 0) | (c.control == 0),
        )
        found.update(connection.scalars(query))
    return found
