"""What became of one attempt to deliver: pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import msgspec

LONGEST_RETRY_AFTER_US: Final = 24 * 3_600 * 1_000_000
"""A receiver that asks for more gets so much: a slip of its clock must not silence alerts."""
_WRONG_BODY: Final = frozenset({400, 413, 414, 415, 422, 431})
"""The receiver read the request and says that this one is wrong; it will be wrong next time, too.
Others of 4xx come and go with deployments, routes and credentials."""
_THROTTLE: Final = frozenset({429, 502, 503, 504})
"""Source: Standard Webhooks 1.0.0, "Delivery success and failure" (503: by its `Retry-After`)."""


class Outcome(StrEnum):
    """What is to be done about a message after an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Failed; another attempt may do better."""
    THROTTLED = "throttled"
    """Failed; the receiver has too much to do, and gets nothing at all for a while."""
    REFUSED = "refused"
    """The receiver does not take this message, now or later."""
    GONE = "gone"
    """The receiver wants no more messages."""
    INTERRUPTED = "interrupted"
    """We ended; nothing is known."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of an attempt.

    Attributes:
        outcome: What is to be done.
        reason: In a few words, for people; never with a URL or anything that the receiver sent.
        status: HTTP status of the answer; None: there was none.
        retry_after_us: How long the receiver asks to wait; None: it does not.
    """

    outcome: Outcome
    reason: str
    status: int | None = None
    retry_after_us: int | None = None


def of_status(status: int, retry_after: str | None = None, now_us: int = 0) -> Result:
    """What an HTTP status means.

    Args:
        status: Of the answer.
        retry_after: The header of that name.
        now_us: Wall clock, µs since the epoch; a `Retry-After` may name a date.
    """
    if 200 <= status <= 299:
        outcome = Outcome.DELIVERED
    elif status == HTTPStatus.GONE:
        outcome = Outcome.GONE
    elif status in _WRONG_BODY:
        outcome = Outcome.REFUSED
    elif status in _THROTTLE:
        outcome = Outcome.THROTTLED
    else:
        outcome = Outcome.RETRY
    waits = outcome in (Outcome.RETRY, Outcome.THROTTLED)
    after_us = read_retry_after(retry_after, now_us) if waits else None
    return Result(outcome=outcome, reason=phrase(status), status=status, retry_after_us=after_us)


def phrase(status: int) -> str:
    """A status for people: `503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status}"


def read_retry_after(text: str | None, now_us: int) -> int | None:
    """How long a `Retry-After` asks to wait, µs; None: it cannot be read, or is over.

    Source: RFC 9110, 10.2.3: seconds, or a date.
    """
    given = (text or "").strip()
    if given.isascii() and given.isdigit():
        wait_us = int(given[:9]) * 1_000_000
    else:
        try:
            wait_us = round(parsedate_to_datetime(given).timestamp() * 1e6) - now_us
        except (ValueError, OverflowError, OSError):
            return None
    return min(wait_us, LONGEST_RETRY_AFTER_US) if wait_us > 0 else None


def failed(reason: str) -> Result:
    """An attempt that brought no answer."""
    return Result(outcome=Outcome.RETRY, reason=reason)


def delivered(reason: str = "written") -> Result:
    """An attempt that succeeded without HTTP."""
    return Result(outcome=Outcome.DELIVERED, reason=reason)
