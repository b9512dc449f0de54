"""How many live requests the lines of an episode show. Rules: *requests*, *retries*.

A sender writes one line per request, the primary one per attempt. Sender's lines give the number
outright; without them, a failed attempt that another follows is one request (a retry) or two (a
page that calls twice), so that the number is an interval.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collector.traits import Trait
from verifier.pairing.lines import Line

SLACK_US: Final = 50_000
"""How far clocks and millisecond rounding may put an attempt outside its request's span."""


class Requests(msgspec.Struct):
    """The live requests of an episode.

    Attributes:
        firm: Requests that certainly took place and owe their copies.
        not_connected: Requests that never reached the primary: copied or not, both legal.
        abandoned: Requests the client gave up: copied or not, both legal.
        exempt: Requests that are never mirrored, with their lines.
        further: How many more requests the lines allow, beyond all those.
        statuses: The response codes of the firm requests, as the client saw them.
        lines: One line for each of firm, then not_connected, then abandoned requests.
    """

    firm: int = 0
    not_connected: int = 0
    abandoned: int = 0
    further: int = 0
    exempt: list[Line] = []
    statuses: list[int] = []
    lines: list[Line] = []

    @property
    def optional(self) -> int:
        """Requests of which both a copy and no copy are legal."""
        return self.not_connected + self.abandoned


def follows(later: Line, earlier: Line, horizon_us: int) -> bool:
    """Whether an attempt can be the retry of an earlier one."""
    if later.attempt and earlier.attempt and later.attempt != earlier.attempt + 1:
        return False
    return earlier.end_us - SLACK_US <= later.start_us <= earlier.end_us + horizon_us


def fold_attempts(attempts: list[Line], horizon_us: int) -> list[Line]:
    """The last attempts of the fewest requests that explain all attempts.

    Each failed attempt is taken for the first try of a later one where one can follow it.

    Args:
        attempts: Lines of the primary.
        horizon_us: Longest wait before a retry, µs.

    Returns:
        One line per request: the attempt that ended it.
    """
    # Among equal starts a success comes last: it may be the retry of the failures beside it.
    ordered = sorted(
        attempts,
        key=lambda line: (
            line.start_us,
            not line.traits & Trait.FAILED,
            line.attempt,
            line.end_us,
            line.pod,
            line.line_id,
        ),
    )
    followed = [False] * len(ordered)
    taken = [False] * len(ordered)
    failed = (i for i, line in enumerate(ordered) if line.traits & Trait.FAILED)
    # All windows in which a retry may start are equally long, so that serving the failure that
    # ended first with the first attempt it may claim folds as many as possible.
    for i in sorted(failed, key=lambda i: (ordered[i].end_us, i)):
        for j in range(i + 1, len(ordered)):
            if not taken[j] and follows(ordered[j], ordered[i], horizon_us):
                taken[j] = followed[i] = True
                break
    return [line for i, line in enumerate(ordered) if not followed[i]]


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
    found.exempt = [c for c in clients if c.traits & (Trait.UNMIRRORED | Trait.NOT_ROUTED)]
    clients = [c for c in clients if not c.traits & (Trait.UNMIRRORED | Trait.NOT_ROUTED)]
    if not clients and not found.exempt:
        found.exempt = [a for a in attempts if a.traits & Trait.UNMIRRORED]
    attempts = [a for a in attempts if not a.traits & Trait.UNMIRRORED]
    if clients:
        _count_by_clients(found, clients, attempts, bypassing, horizon_us)
    else:
        _count_by_attempts(found, attempts, bypassing, horizon_us)
    return found


def _count_by_clients(
    found: Requests, clients: list[Line], attempts: list[Line], bypassing: int, horizon_us: int
) -> None:
    """Requests = the senders' lines, or the folded attempts if those are more."""
    firm = [c for c in clients if not c.traits & (Trait.NEVER_CONNECTED | Trait.ABANDONED)]
    failed = [c for c in clients if c.traits & Trait.NEVER_CONNECTED]
    abandoned = [
        c
        for c in clients
        if c.traits & Trait.ABANDONED and not c.traits & Trait.NEVER_CONNECTED
    ]
    folded = fold_attempts(attempts, horizon_us)[bypassing:]
    unexplained = max(0, len(folded) - len(firm) - len(abandoned))
    # A request that ends in UF or UO after an attempt did reach the primary was sent, and copied.
    connected = failed[: min(unexplained, len(failed))]
    unseen = folded[len(folded) - (unexplained - len(connected)) :] if unexplained else []
    sure = firm + connected + unseen
    outside = sum(not _within(attempt, clients) for attempt in attempts)
    found.firm = len(sure)
    found.statuses = [line.code for line in sure]
    found.not_connected = len(failed) - len(connected)
    found.abandoned = len(abandoned)
    found.further = max(0, outside - bypassing - len(unseen))
    found.lines = sure + failed[len(connected) :] + abandoned


def _within(attempt: Line, clients: list[Line]) -> bool:
    """Whether an attempt lies in the span of some sender's line, which then accounts for it."""
    return any(
        client.start_us - SLACK_US <= attempt.start_us <= client.end_us + SLACK_US
        for client in clients
    )


def _count_by_attempts(
    found: Requests, attempts: list[Line], bypassing: int, horizon_us: int
) -> None:
    """Requests = the folded attempts, up to all attempts."""
    ends = fold_attempts(attempts, horizon_us)[bypassing:]
    sure = [line for line in ends if not line.traits & Trait.ABANDONED]
    abandoned = [line for line in ends if line.traits & Trait.ABANDONED]
    found.firm = len(sure)
    found.statuses = [line.code for line in sure]
    found.abandoned = len(abandoned)
    if not all(line.attempt for line in attempts):
        found.further = max(0, len(attempts) - bypassing - len(ends))
    found.lines = sure + abandoned
