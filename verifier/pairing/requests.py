"""How many live requests the lines of an episode show. Rules: *requests*, *retries*.

A sender writes one line per request, the primary one per attempt. Sender's lines give the number
outright; without them, a failed attempt that another follows is one request (a retry) or two (a
page that calls twice), so that the number is an interval.
"""

from __future__ import annotations

import heapq
from typing import Final

import msgspec

from collector.traits import Trait
from verifier.pairing.lines import Line

SLACK_US: Final = 50_000
"""How far clocks and millisecond rounding may put an attempt outside its request's span."""

_NEVER_OWED: Final = Trait.UNMIRRORED | Trait.NOT_ROUTED


class Requests(msgspec.Struct):
    """The live requests of an episode.

    Attributes:
        firm: Requests that certainly took place and owe their copies.
        not_connected: Requests that never reached the primary: copied or not, both legal.
        abandoned: Requests the client gave up: copied or not, both legal.
        bypassed: Requests that reached the primary on another route.
        exempt: Requests that are never mirrored, with their lines.
        further: How many more requests the lines allow, beyond all those.
        statuses: The response codes of the firm requests, as the client saw them.
        lines: One line for each of firm, then not_connected, then abandoned requests.
    """

    firm: int = 0
    not_connected: int = 0
    abandoned: int = 0
    bypassed: int = 0
    further: int = 0
    exempt: list[Line] = []
    statuses: list[int] = []
    lines: list[Line] = []

    @property
    def optional(self) -> int:
        """Requests of which both a copy and no copy are legal."""
        return self.not_connected + self.abandoned

    @property
    def certain(self) -> int:
        """All requests that certainly took place."""
        return self.firm + self.optional + self.bypassed + len(self.exempt)


def may_be_retried(attempt: Line) -> bool:
    """Whether an attempt can have been tried again.

    A proxy that numbers its attempts may be told to retry 4xx as well, and the numbers prove it.
    """
    return bool(attempt.traits & Trait.FAILED) or (attempt.attempt > 0 and attempt.code >= 400)


def follows(later: Line, earlier: Line, horizon_us: int) -> bool:
    """Whether an attempt can be a retry of an earlier one that may have been retried."""
    if later.attempt and earlier.attempt:
        # An attempt between the two may never have reached the primary.
        if later.attempt <= earlier.attempt:
            return False
    elif not earlier.traits & Trait.FAILED:
        return False
    return earlier.end_us - SLACK_US <= later.start_us <= earlier.end_us + horizon_us


def _attempt_order(line: Line) -> tuple[int, bool, int, int, int, int, int]:
    """Among equal starts a success comes last: it may be the retry of the failures beside it.

    Among equal failures the abandoned one comes last: what may owe nothing is not called missing.
    """
    success = not may_be_retried(line)
    abandoned = line.traits & Trait.ABANDONED
    return (line.start_us, success, line.attempt, line.end_us, abandoned, line.pod, line.line_id)


def fold_attempts(attempts: list[Line], horizon_us: int) -> list[Line]:
    """The last attempts of the fewest requests that explain all attempts, by start.

    Each failed attempt is taken for the first try of a later one where one can follow it.

    Args:
        attempts: Lines of the primary.
        horizon_us: Longest wait before a retry, µs.

    Returns:
        One line per request: the attempt that ended it.
    """
    ordered = sorted(attempts, key=_attempt_order)
    followed: set[int] = set()
    retried = [may_be_retried(line) for line in ordered]
    # Failures that wait for their retry, the one that ended first (whose time runs out first) on
    # top. Giving every attempt to the first of them that it can follow folds as many as possible.
    waiting: list[tuple[int, int]] = []
    for index, line in enumerate(ordered):
        while waiting and waiting[0][0] + horizon_us < line.start_us:
            heapq.heappop(waiting)
        ahead = None if retried[index] else _try_ahead(index, ordered, followed, horizon_us)
        earlier = _earlier_try(line, waiting, ordered, horizon_us) if ahead is None else None
        if ahead is not None:
            followed.add(ahead)
        elif earlier is not None:
            followed.add(earlier[1])
            waiting.remove(earlier)
            heapq.heapify(waiting)
        if retried[index] and index not in followed:
            heapq.heappush(waiting, (line.end_us, index))
    return [line for index, line in enumerate(ordered) if index not in followed]


def _earlier_try(
    line: Line, waiting: list[tuple[int, int]], ordered: list[Line], horizon_us: int
) -> tuple[int, int] | None:
    """The waiting failure whose retry a line is taken for, or None."""
    if not waiting:
        return None
    if not line.attempt and not ordered[waiting[0][1]].attempt:
        return waiting[0] if follows(line, ordered[waiting[0][1]], horizon_us) else None
    # With numbers, the try just before is the likeliest one.
    return max(
        (entry for entry in waiting if follows(line, ordered[entry[1]], horizon_us)),
        key=lambda entry: (ordered[entry[1]].attempt, -entry[0], -entry[1]),
        default=None,
    )


def _try_ahead(index: int, ordered: list[Line], followed: set[int], horizon_us: int) -> int | None:
    """The failure that a success is the retry of, though it seems to have started later.

    Retries go to another pod, whose clock may run behind: by a few ms, and a success comes before
    the failure that it repairs. Within one pod the order is sure.
    """
    line = ordered[index]
    found = None  # the last of several, as it can be the retry of the others
    for number in range(index + 1, len(ordered)):
        failure = ordered[number]
        if failure.start_us > line.start_us + SLACK_US:
            break
        if failure.pod == line.pod or number in followed or not may_be_retried(failure):
            continue
        if follows(line, failure, horizon_us):
            found = number
    return found


def count_requests(
    clients: list[Line], attempts: list[Line], bypassing: int, horizon_us: int
) -> Requests:
    """Counts the live requests of one episode.

    Args:
        clients: Senders' lines towards live destinations.
        attempts: Lines of the primary's pods.
        bypassing: Senders' lines on other routes to the same host; each explains one attempt.
        horizon_us: Longest wait before a retry, µs.
    """
    found = Requests()
    found.exempt = [c for c in clients if c.traits & _NEVER_OWED]
    clients = [c for c in clients if not c.traits & _NEVER_OWED]
    if not clients and not found.exempt:
        found.exempt = [a for a in attempts if a.traits & Trait.UNMIRRORED]
    attempts = [a for a in attempts if not a.traits & Trait.UNMIRRORED]
    folded = fold_attempts(attempts, horizon_us)
    found.bypassed = min(bypassing, len(folded))
    # Which of the attempts took the other route cannot be told.
    folded = folded[found.bypassed :]
    if clients:
        _count_by_clients(found, clients, attempts, folded)
    else:
        _count_by_attempts(found, attempts, folded)
    return found


def _count_by_clients(
    found: Requests, clients: list[Line], attempts: list[Line], folded: list[Line]
) -> None:
    """Requests = the senders' lines, or the folded attempts if those are more."""
    firm = [c for c in clients if not c.traits & (Trait.NEVER_CONNECTED | Trait.ABANDONED)]
    failed = [c for c in clients if c.traits & Trait.NEVER_CONNECTED]
    abandoned = [
        c for c in clients if c.traits & Trait.ABANDONED and not c.traits & Trait.NEVER_CONNECTED
    ]
    unexplained = max(0, len(folded) - len(firm) - len(abandoned))
    # A request that ends in UF or UO after an attempt did reach the primary was sent, and copied.
    connected = failed[: min(unexplained, len(failed))]
    # Attempts that no sender's line covers are the first to be requests of their own.
    folded = sorted(folded, key=lambda attempt: _within(attempt, clients))
    unseen = folded[: unexplained - len(connected)]
    sure = firm + connected + unseen
    outside = sum(not _within(attempt, clients) for attempt in attempts)
    found.firm = len(sure)
    found.statuses = [line.code for line in sure]
    found.not_connected = len(failed) - len(connected)
    found.abandoned = len(abandoned)
    found.further = max(0, outside - found.bypassed - len(unseen))
    found.lines = sure + failed[len(connected) :] + abandoned


def _within(attempt: Line, clients: list[Line]) -> bool:
    """Whether an attempt lies in the span of some sender's line, which then accounts for it."""
    return any(
        client.start_us - SLACK_US <= attempt.start_us <= client.end_us + SLACK_US
        for client in clients
    )


def _count_by_attempts(found: Requests, attempts: list[Line], folded: list[Line]) -> None:
    """Requests = the folded attempts, up to all attempts; attempt numbers leave no doubt."""
    sure = [line for line in folded if not line.traits & Trait.ABANDONED]
    abandoned = [line for line in folded if line.traits & Trait.ABANDONED]
    found.firm = len(sure)
    found.statuses = [line.code for line in sure]
    found.abandoned = len(abandoned)
    if not all(line.attempt for line in attempts):
        found.further = max(0, len(attempts) - found.bypassed - len(folded))
    found.lines = sure + abandoned
