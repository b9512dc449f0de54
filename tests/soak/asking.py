"""The API is asked all the while: every question without an answer needs a fault that explains it.

Nobody hurts the API itself, so it may be silent only until it has started, and may refuse only
while nothing was settled yet, or while the database was away.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from tests.soak.plan import Span

ANSWERED: Final = "answered"
REFUSED: Final = "connection refused"
_UNKNOWN: Final = "404 not-found"
_AWAY: Final = "503 database-away"
_START_S: Final = 120.0
"""Five processes start at once, on machines that are busy with other work."""
_AFTER_S: Final = 5.0
"""What the API tells to wait, where the database is away."""
_TIMEOUT_S: Final = 10.0
"""Longer than a new connection to the database may take."""


class Asked(NamedTuple):
    """One question.

    Attributes:
        begin_s: When it was asked, in real seconds of the run.
        end_s: When the answer was there.
        said: `ANSWERED`, `REFUSED`, a status with its problem, or what went wrong.
    """

    begin_s: float
    end_s: float
    said: str


def ask(url: str) -> str:
    """What is said to one question; see `Asked.said`."""
    try:
        urllib.request.urlopen(url, timeout=_TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {_problem(error.read())}"
    except urllib.error.URLError as error:
        is_refused = isinstance(error.reason, ConnectionRefusedError)
        return REFUSED if is_refused else f"{type(error.reason).__name__}: {error.reason}"
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ANSWERED


def _problem(body: bytes) -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["type"]).rpartition(":")[2]
    return body[:60].decode("utf-8", "replace")


def reasons(asked: Sequence[Asked], outages: Sequence[Span]) -> list[str]:
    """Why each question has no answer; empty: it has one, or nothing explains it.

    Args:
        asked: In order.
        outages: While the database was restarted, in real seconds of the run.
    """
    began_s = next((one.end_s for one in asked if one.said != REFUSED), None)
    settled_s = next((one.end_s for one in asked if one.said == ANSWERED), None)
    return [_reason(one, began_s, settled_s, outages) for one in asked]


def _reason(
    one: Asked, began_s: float | None, settled_s: float | None, outages: Sequence[Span]
) -> str:
    if one.said == REFUSED and one.end_s < min(_START_S, began_s or _START_S):
        return "not started yet"
    if one.said == _UNKNOWN and (settled_s is None or one.end_s < settled_s):
        return "nothing settled yet"
    if one.said == _AWAY and any(
        one.begin_s < outage.end_s + _AFTER_S and outage.begin_s < one.end_s for outage in outages
    ):
        return "database restarted"
    return ""


def unexplained(asked: Sequence[Asked], outages: Sequence[Span]) -> list[str]:
    """The questions that should have had an answer, one line each."""
    return [
        f"API, asked after {one.begin_s:.1f} s: {one.said} after {one.end_s - one.begin_s:.1f} s"
        for one, reason in zip(asked, reasons(asked, outages), strict=True)
        if one.said != ANSWERED and not reason
    ]
