"""When a message is tried again, and when an endpoint gets a rest: pure.

Times are µs since the epoch; `spread` is a number between 0 and 1, drawn for each use.
"""

from __future__ import annotations

from typing import Final

import msgspec

from verifier.alerts.outcome import Outcome, Result

_S: Final = 1_000_000
WAITS_US: Final = tuple(
    seconds * _S for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""Between attempts, from the first to the tenth.

Source: Standard Webhooks 1.0.0, "Deliverability and reliability".
"""
SPAN_US: Final = sum(WAITS_US)
"""Three days and four hours after it was written a message is given up."""
_JITTER: Final = 0.1
"""Waits are longer by up to this share, so that what failed together is not tried together."""

TRIPS_AT: Final = 5
"""So many failures in a row open the breaker: from then on one attempt at a time tells whether
the receiver is back, for all messages."""
_FIRST_REST_US: Final = 15 * _S
_LONGEST_REST_US: Final = 300 * _S
_THROTTLE_REST_US: Final = 5 * _S


class Rest(msgspec.Struct, frozen=True):
    """State of an endpoint's breaker.

    Attributes:
        failures: In a row.
        hold_us: Nothing is sent before then; None: at once.
    """

    failures: int = 0
    hold_us: int | None = None


def next_attempt_at(
    attempts: int,
    created_us: int,
    now_us: int,
    spread: float,
    *,
    retry_after_us: int | None = None,
    longest_wait_us: int | None = None,
) -> int | None:
    """When a message whose attempt failed is tried again; None: it is given up.

    Args:
        attempts: Made so far, at least 1.
        created_us: When it was written.
        now_us: When the attempt failed.
        spread: For the jitter.
        retry_after_us: What the receiver asks for; shorter waits become so long.
        longest_wait_us: Waits of the schedule are not longer than that.
    """
    if now_us - created_us >= SPAN_US:
        return None
    wait_us = WAITS_US[min(max(attempts, 1), len(WAITS_US)) - 1]
    if longest_wait_us is not None:
        wait_us = min(wait_us, longest_wait_us)
    wait_us += round(wait_us * _JITTER * spread)
    return now_us + max(wait_us, retry_after_us or 0)


def rest_after(rest: Rest, result: Result, now_us: int, spread: float) -> Rest:
    """State of the breaker after an attempt."""
    outcome = result.outcome
    if outcome in (Outcome.DELIVERED, Outcome.REFUSED):  # it answers
        return Rest()
    if outcome in (Outcome.INTERRUPTED, Outcome.GONE):
        return rest
    failures = rest.failures + 1
    wait_us = 0
    if failures >= TRIPS_AT:
        wait_us = min(_FIRST_REST_US << min(failures - TRIPS_AT, 10), _LONGEST_REST_US)
    if outcome is Outcome.THROTTLED:
        wait_us = max(wait_us, _THROTTLE_REST_US)
    wait_us += round(wait_us * _JITTER * spread)
    wait_us = max(wait_us, result.retry_after_us or 0)
    return Rest(failures, now_us + wait_us if wait_us else None)


def at_once(failures: int, concurrency: int) -> int:
    """How many messages may be on their way to an endpoint at the same time."""
    return 1 if failures >= TRIPS_AT else concurrency
