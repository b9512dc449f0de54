"""From the lines of one key to its episodes, and which of them count.

Rules: *line identity* and *episode*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from collector.traits import Trait
from verifier.pairing.lines import Line, Side


def order_of(line: Line) -> tuple[int, int, int, int, int]:
    """A total order that the order of arrival does not change."""
    return (line.start_us, line.end_us, line.side, line.pod, line.line_id)


def distinct(lines: Iterable[Line]) -> list[Line]:
    """The lines in order, each once: a shipper that re-reads a file sends lines again."""
    seen: set[tuple[int, int]] = set()
    kept: list[Line] = []
    for line in sorted(lines, key=order_of):
        identity = (line.pod, line.line_id)
        if identity not in seen:
            seen.add(identity)
            kept.append(line)
    return kept


def episodes(lines: Iterable[Line], horizon_us: int) -> Iterator[list[Line]]:
    """Cuts the lines of one key into episodes: a gap longer than the horizon separates two.

    The gap is from the latest end so far to the next start, so that a long request keeps its
    retries and its copy. Repeated lines are dropped.
    """
    current: list[Line] = []
    latest_end = 0
    for line in distinct(lines):
        if current and line.start_us - latest_end > horizon_us:
            yield current
            current = []
        latest_end = max(latest_end, line.end_us) if current else line.end_us
        current.append(line)
    if current:
        yield current


_REQUEST_SIDES = frozenset((Side.CLIENT_LIVE, Side.SERVER_LIVE, Side.CLIENT_MIRROR))


def first_request_us(episode: list[Line]) -> int:
    """When an episode's first request starts: this decides which window it belongs to.

    An episode without a request starts with its first line.
    """
    for line in episode:
        if line.side in _REQUEST_SIDES:
            return line.start_us
    return episode[0].start_us


def concerned(episode: list[Line]) -> list[Line]:
    """Rule: lines with another authority count beside a sender's line to the service only."""
    if any(line.side in (Side.CLIENT_LIVE, Side.CLIENT_MIRROR) for line in episode):
        return episode
    return [line for line in episode if not line.traits & Trait.OTHER_NAME]


def ended(episode: list[Line]) -> list[Line]:
    """Rule: a line of a stream that still runs counts until the stream's end is logged.

    And the line of a hop that a sender redirected itself never: its path is the next hop's.
    """
    if not any(line.traits & (Trait.PARTIAL | Trait.REDIRECTED) for line in episode):
        return episode
    ends = {(x.pod, x.start_us) for x in episode if not x.traits & Trait.PARTIAL}
    # In order of their ends: the latest partial line of a stream remains.
    running = {(x.pod, x.start_us): x for x in episode if x.traits & Trait.PARTIAL}
    return [
        line
        for line in episode
        if not line.traits & Trait.REDIRECTED
        and (
            not line.traits & Trait.PARTIAL
            or ((line.pod, line.start_us) not in ends and running[line.pod, line.start_us] is line)
        )
    ]
