"""Which events an endpoint gets."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

import msgspec

from verifier.incidents.event import Event, Severity

_LEAST_TO_MOST: Final = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """A filter; what is empty lets everything through.

    Attributes:
        kinds: Kinds of incidents.
        policies: Names or patterns of policies, `weather/*`.
        least_severity: Less severe ones are left out.
    """

    kinds: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    least_severity: Severity = Severity.INFO

    def lets(self, event: Event) -> bool:
        """Whether the endpoint gets this event."""
        severe = _LEAST_TO_MOST.index(event.severity) >= _LEAST_TO_MOST.index(self.least_severity)
        kind = not self.kinds or event.kind in self.kinds
        policy = not self.policies or any(fnmatchcase(event.policy, p) for p in self.policies)
        return kind and policy and severe
