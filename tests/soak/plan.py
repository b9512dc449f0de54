"""What happens in a run, and when: everything follows from the seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SECOND: Final = 1_000_000
SLOT_S: Final = 600
"""A fault every ten simulated minutes."""


class Fault(StrEnum):
    """What may happen."""

    KILL_COLLECTOR = "a collector killed with -9"
    KILL_VERIFIER = "a verifier killed with -9"
    FREEZE_COLLECTOR = "a collector frozen"
    FREEZE_VERIFIER = "a verifier frozen"
    RESTART_BROKER = "the broker restarted, every other time after kill -9"
    RESTART_DATABASE = "the database server ended at once, and restarted"
    CLOCK_OF_COLLECTOR = "a collector's clock an hour wrong, and right again"
    CLOCK_OF_VERIFIER = "a verifier's clock an hour wrong, and right again"
    LATE = "lines up to 4 minutes late"
    LOST = "a node's shipper loses 90 s"
    REPEATED = "lines sent twice"
    MIRROR_OFF = "no copies for 60 s"
    POLICY = "the mirror is taken out of the policy, and put back"


@dataclass(frozen=True, slots=True)
class Event:
    """A fault at a time, seconds after the traffic began."""

    at_s: int
    fault: Fault


def schedule(chance: random.Random, length_s: int, possible: Sequence[Fault]) -> list[Event]:
    """One fault in every slot but the last: all kinds before any comes again.

    Args:
        chance: Its seed decides.
        length_s: How long traffic lasts.
        possible: What the servers of this run can bear.
    """
    events: list[Event] = []
    deck: list[Fault] = []
    for begin_s in range(SLOT_S // 2, length_s - SLOT_S, SLOT_S):
        if not deck:
            deck = list(possible)
            chance.shuffle(deck)
        events.append(Event(begin_s, deck.pop()))
    return events


@dataclass(frozen=True, slots=True)
class Span:
    """From a time up to another, seconds after the traffic began."""

    begin_s: float
    end_s: float

    def has(self, at_s: float) -> bool:
        """Whether a time is in it."""
        return self.begin_s <= at_s < self.end_s


CHANGE_GRACE_S: Final = 100
_NOTICED_S: Final = 8.0
"""Real seconds in which every collector knows a policy, also one that is just starting again."""


def mesh_off(changed_s: float, rate: float) -> Span:
    """When the mesh does not mirror, around a policy that was changed at a time.

    A change takes effect when every collector knows it, which takes them real time: the mesh
    follows after that, and goes ahead of the policy when the mirror comes back.
    """
    begin_s = changed_s + max(200.0, _NOTICED_S * rate)
    return Span(begin_s, begin_s + 150.0)


def policy_off(changed_s: float, rate: float) -> Span:
    """While the policy has no mirror, see `mesh_off`."""
    return Span(changed_s, mesh_off(changed_s, rate).end_s + 50.0)


def around_change(changed_s: float, rate: float) -> Span:
    """When requests may be exempt for a policy that was changed and put back."""
    end_s = policy_off(changed_s, rate).end_s
    return Span(changed_s, end_s + CHANGE_GRACE_S + max(60.0, _NOTICED_S * rate))


def spans(events: Sequence[Event], fault: Fault, span: Span) -> list[Span]:
    """The same stretch of time after each fault of a kind."""
    begins = [event.at_s for event in events if event.fault is fault]
    return [Span(begin + span.begin_s, begin + span.end_s) for begin in begins]
