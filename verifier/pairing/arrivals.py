"""Which lines at a mirror are copies and which are live traffic. Rule: *marker*.

In order of trust: the operator's marker, Envoy's `-shadow` authority, one more X-Forwarded-For
address than the live request has; else the policy, which sends no live traffic to the mirror.
Since Istio 1.28 the suffix is off by default, so nothing may rest on it alone.
"""

from __future__ import annotations

import msgspec

from collector.traits import Trait, forwarded_hops
from verifier.pairing.lines import Line, Marker


class Arrivals(msgspec.Struct):
    """The lines at one mirror group, by what they are. `unmarked` shows neither.

    `markers` counts by what the copies were told; what the policy tells later is not among them.
    """

    copies: list[Line] = []
    unmarked: list[Line] = []
    live: list[Line] = []
    markers: dict[Marker, int] = {}

    def add_copy(self, line: Line, marker: Marker) -> None:
        """A copy, and what told it."""
        self.copies.append(line)
        self.markers[marker] = self.markers.get(marker, 0) + 1


def _reference_hops(references: list[Line], arrivals: list[Line]) -> int | None:
    """How many forwarded addresses a live request of this episode carries; None if unknown.

    The primary's and the senders' lines tell; where they differ (several senders) the fewest
    count, so that no copy is taken for live traffic. Failing both, the mirror's own lines do when
    they differ: the copy has one more than the live request it copies.
    """
    sent = [hops for line in references if (hops := forwarded_hops(line.traits)) is not None]
    if sent:
        return min(sent)
    logged = [hops for line in arrivals if (hops := forwarded_hops(line.traits)) is not None]
    if not logged:
        return None
    lowest = min(logged)
    # A copy has at least the sender's own address: an empty list is a live request.
    return lowest if lowest == 0 or lowest != max(logged) else None


def sort_arrivals(arrivals: list[Line], references: list[Line]) -> Arrivals:
    """Sorts the lines at one mirror into copies, live requests and those without a mark.

    Args:
        arrivals: Lines of the mirror's pods.
        references: Lines that show live requests of the episode: the primary's, the senders'.
    """
    found = Arrivals()
    suffix_in_use = any(line.traits & Trait.SHADOW_HOST for line in arrivals)
    reference = _reference_hops(references, arrivals)
    for line in arrivals:
        if line.traits & (Trait.MARKED | Trait.SHADOW_HOST):
            is_field = line.traits & Trait.MARKED
            found.add_copy(line, Marker.FIELD if is_field else Marker.SHADOW_HOST)
            continue
        hops = forwarded_hops(line.traits)
        if hops is not None and reference is not None and hops > reference:
            found.add_copy(line, Marker.FORWARDED)
        elif (hops is not None and reference is not None) or suffix_in_use:
            found.live.append(line)
        else:
            found.unmarked.append(line)
    return found
