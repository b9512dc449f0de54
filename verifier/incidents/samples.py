"""What a settled window says of each kind: its counts as samples. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from verifier.incidents.event import Kind
from verifier.incidents.kinds import KindRule
from verifier.incidents.scores import Sample
from verifier.pairing.lines import Reason

SILENT: Final = frozenset({Reason.MIRROR_SILENT})
UNDECLARED: Final = frozenset({Reason.ROUTE_UNKNOWN, Reason.MIRROR_TAKES_LIVE})
UNKNOWN: Final = frozenset({Reason.UNKNOWN_VERSION, Reason.UNKNOWN_RECEIVER})


class WindowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one revision of a window, as `settled_window` has them. Times in µs.

    Attributes:
        silent: Of the unverifiable requests: those of which a mirror never said anything.
        undeclared: Of the unverifiable requests: those that the policy does not explain.
        unknown: Of the unverifiable requests: those that pods of unknown version received.
    """

    start_us: int
    size_us: int
    declared: float
    requests: int = 0
    matched: int = 0
    missing: int = 0
    unsampled: int = 0
    unverifiable: int = 0
    duplicate: int = 0
    leak: int = 0
    orphan: int = 0
    ambiguous: int = 0
    control: int = 0
    control_lost: int = 0
    silent: int = 0
    undeclared: int = 0
    unknown: int = 0


def shares(reasons: Mapping[Reason, int], unverifiable: int) -> dict[str, int]:
    """How many requests are unverifiable for reasons that have a kind of their own, by field.

    Args:
        reasons: Of the stored findings, which may be a part of all.
        unverifiable: All.
    """
    stored = sum(reasons.values())
    if not stored:
        return {}
    scale = max(1.0, unverifiable / stored)
    return {
        name: round(sum(count for reason, count in reasons.items() if reason in told) * scale)
        for name, told in (("silent", SILENT), ("undeclared", UNDECLARED), ("unknown", UNKNOWN))
    }


def samples(counts: WindowCounts, rules: Mapping[Kind, KindRule]) -> dict[Kind, Sample]:
    """What a window says, by kind; kinds of which it says nothing are left out."""
    found = {}
    for kind, (bad, total) in _shares_of(counts).items():
        threshold = rules[kind].threshold
        if threshold is not None and (bad or total):
            found[kind] = _sample(counts, bad, max(bad, total), threshold)
    if Kind.MISSING in found:
        found[Kind.MISSING] = _beside_control(counts, found[Kind.MISSING])
    if 0 < counts.declared < 100:
        found[Kind.PERCENTAGE] = _percentage(counts)
    return found


def _shares_of(c: WindowCounts) -> dict[Kind, tuple[int, int]]:
    seen = c.requests + c.leak + c.ambiguous
    doubtful = max(0, c.unverifiable - c.silent - c.undeclared - c.unknown)
    return {
        Kind.MISSING: (c.missing, c.matched + c.missing),
        Kind.LEAK: (c.leak, c.requests),
        Kind.MIRROR_SILENT: (c.silent, seen),
        Kind.EVIDENCE_HOLE: (doubtful + c.ambiguous, seen),
        Kind.DUPLICATES: (c.duplicate, c.matched),
        Kind.ORPHANS: (c.orphan, c.matched),
        Kind.UNDECLARED: (c.undeclared, seen),
        Kind.UNKNOWN_VERSION: (c.unknown, seen),
    }


def _sample(counts: WindowCounts, bad: int, total: int, threshold: float) -> Sample:
    return Sample(
        start_us=counts.start_us,
        end_us=counts.start_us + counts.size_us,
        bad=bad,
        total=total,
        share=threshold,
    )


def _beside_control(counts: WindowCounts, sample: Sample) -> Sample:
    """What is missing beside what is known to be lost in shipping: as many lines of the primary."""
    return msgspec.structs.replace(sample, lost=counts.control_lost, control=counts.control)


def _percentage(counts: WindowCounts) -> Sample:
    """Of the requests in a hole any may have been copied."""
    return Sample(
        start_us=counts.start_us,
        end_us=counts.start_us + counts.size_us,
        bad=counts.matched,
        total=counts.matched + counts.missing + counts.unsampled,
        share=counts.declared / 100,
        both_ways=True,
        doubtful=counts.unverifiable,
    )
