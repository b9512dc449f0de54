"""What is remembered of one kind of one policy between ticks. Pure. Times in µs.

Event time is when requests were made, wall time the database's clock.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from verifier.incidents.event import Severity
from verifier.statistics.sequential import Watch


class Ended(StrEnum):
    """Why an incident is over."""

    OVER = "over"
    """Traffic is as it should be again."""
    REFUTED = "refuted"
    """Late lines showed that there was no drift."""
    DISABLED = "disabled"
    """Rules no longer ask for it, or the policy is gone."""


class Calm(msgspec.Struct, frozen=True, array_like=True):
    """How strongly the latest windows say that a drift is over; all zero: they do not."""

    score: float = 0.0
    first_us: int = 0
    bad: int = 0
    total: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What people know of an incident: the last notification.

    Attributes:
        at_us: When, wall time.
        severity: As told.
        size: The share of drift, or the pipeline's measure, as told.
    """

    at_us: int
    severity: Severity
    size: float


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """An open incident.

    Attributes:
        incident_id: Its row; 0: not written yet.
        sequence: Notifications so far.
        opened_us: Wall time.
        severity: As it is now.
        first_us: Event time of the first drift that it counts.
        last_us: Event time of the last.
        bad: How many drifted since `first_us`.
        total: Of how many.
        lost: Of the control group since then.
        control: Its size.
        recent_bad: How many drifted lately: of the last window with enough of them, or of as many
            windows as it takes.
        recent_total: Of how many.
        calm: How strongly windows say that it is over.
        told: What people know; None: nothing yet, it is silenced.
        resolved_us: When it ended, wall time; None: it goes on.
        ended: Why it ended.
    """

    incident_id: int = 0
    sequence: int = 0
    opened_us: int
    severity: Severity
    first_us: int
    last_us: int
    bad: int
    total: int
    lost: int = 0
    control: int = 0
    recent_bad: float = 0.0
    recent_total: float = 0.0
    calm: Calm = Calm()
    told: Told | None = None
    resolved_us: int | None = None
    ended: Ended | None = None


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """All that is remembered; the empty one need not be stored.

    Attributes:
        watch: What the windows say while no incident is open.
        share: The tolerated or declared share that it is about.
        since_us: Since when a condition holds, wall time; None: it does not.
        clear_us: Since when a condition does not hold, wall time; None: it does.
        open: The incident; None: there is none.
    """

    watch: Watch = Watch()
    share: float = 0.0
    since_us: int | None = None
    clear_us: int | None = None
    open: Open | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember."""
        return self == Drift()


class Now(msgspec.Struct, frozen=True):
    """What time it is: up to when windows count, and the database's clock. In µs."""

    event_us: int
    wall_us: int
