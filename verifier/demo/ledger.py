"""What really happened to each call, told by the applications: the truth of the demo.

Invariant: nothing here comes from a log. An application says which call reached it; the answer
that the caller got says which application gave it. A call that a v1 application answered was
live traffic at v1; every other arrival there was a copy. This holds with and without Envoy's
`-shadow` suffix.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_FOLD_AGE_S: Final = 60.0
"""A call so old changes no more; its record is folded into the totals, so that a demo that runs
for days stays small."""
_FOLD_EVERY: Final = 1000


@dataclass(slots=True)
class CallRecord:
    """What became of one call.

    Attributes:
        started_s: When it was made, in seconds of the monotonic clock.
        on_v2: How often it reached a v2 application.
        on_v1: How often it reached a v1 application, live or as a copy.
        answered_by: Version of the application that answered the caller, or empty.
    """

    started_s: float
    on_v2: int = 0
    on_v1: int = 0
    answered_by: str = ""

    @property
    def copies(self) -> int:
        """How many of its arrivals at v1 were copies."""
        return self.on_v1 - (1 if self.answered_by == "v1" else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Totals over all calls.

    Attributes:
        calls: Calls made.
        requests: Calls that reached v2.
        mirrored: Of those, calls of which a copy reached v1.
        missing: Of those, calls of which none did.
        leaked: Calls that went to v1 as live traffic.
        unanswered: Calls that no application answered.
    """

    calls: int = 0
    requests: int = 0
    mirrored: int = 0
    missing: int = 0
    leaked: int = 0
    unanswered: int = 0

    def __add__(self, other: Truth) -> Truth:
        """Sums two totals over different calls."""
        return Truth(
            calls=self.calls + other.calls,
            requests=self.requests + other.requests,
            mirrored=self.mirrored + other.mirrored,
            missing=self.missing + other.missing,
            leaked=self.leaked + other.leaked,
            unanswered=self.unanswered + other.unanswered,
        )


def count_calls(records: Iterable[CallRecord]) -> Truth:
    """The totals of some calls."""
    calls = list(records)
    requests = [call for call in calls if call.on_v2]
    mirrored = sum(1 for call in requests if call.copies > 0)
    return Truth(
        calls=len(calls),
        requests=len(requests),
        mirrored=mirrored,
        missing=len(requests) - mirrored,
        leaked=sum(1 for call in calls if call.answered_by == "v1"),
        unanswered=sum(1 for call in calls if not call.answered_by),
    )


class Ledger:
    """Collects what the caller and the applications say; any thread may write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, CallRecord] = {}
        self._folded = Truth()

    def started(self, call: str) -> None:
        """The caller makes a call, named by a unique id."""
        now = time.monotonic()
        with self._lock:
            self._calls[call] = CallRecord(now)
            if len(self._calls) % _FOLD_EVERY == 0:
                self._fold(now - _FOLD_AGE_S)

    def arrived(self, call: str, version: str) -> None:
        """An application of a version received a call."""
        with self._lock:
            record = self._calls.get(call)
            if record is None:
                return
            if version == "v1":
                record.on_v1 += 1
            else:
                record.on_v2 += 1

    def answered(self, call: str, version: str) -> None:
        """The caller got an answer that an application of a version had signed."""
        with self._lock:
            record = self._calls.get(call)
            if record is not None:
                record.answered_by = version

    def total(self) -> Truth:
        """The totals so far."""
        with self._lock:
            return self._folded + count_calls(self._calls.values())

    def calls(self) -> dict[str, CallRecord]:
        """The records of the latest calls, by call id (those of the last minute, at least)."""
        with self._lock:
            return dict(self._calls)

    def _fold(self, before_s: float) -> None:
        old = [name for name, call in self._calls.items() if call.started_s < before_s]
        self._folded += count_calls(self._calls.pop(name) for name in old)
