"""What happens to the route in the course of the demo: a plan over time, pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from verifier.demo.envoy_config import Route

CYCLE_S: Final = 60.0
"""How long one round takes when the demo runs until it is interrupted."""
LEAK_PERCENT: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the demo with one route.

    Attributes:
        name: What it is called on the screen.
        route: The route while it lasts.
        share: Its share of the whole time, 0 to 1.
    """

    name: str
    route: Route
    share: float


PLAN: Final = (
    Phase(name="mirrored", route=Route(), share=0.35),
    Phase(name="mirror removed", route=Route(mirror_percent=0), share=0.15),
    Phase(name="mirror restored", route=Route(), share=0.15),
    Phase(
        name=f"{LEAK_PERCENT} % of live traffic leaks to v1",
        route=Route(v1_weight=LEAK_PERCENT),
        share=0.2,
    ),
    Phase(name="weights restored", route=Route(), share=0.15),
)


def phase_at(elapsed_s: float, round_s: float = CYCLE_S) -> Phase:
    """The phase at a moment; after a round the plan starts again.

    Args:
        elapsed_s: Since traffic began, in seconds.
        round_s: How long one round of the plan takes, in seconds.
    """
    position = (elapsed_s % round_s) / round_s
    for phase in PLAN:
        position -= phase.share
        if position < 0:
            return phase
    return PLAN[-1]  # shares that sum to a hair less than one
