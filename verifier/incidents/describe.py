"""An incident in words and numbers: summary, counts. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from verifier.incidents.drift import Ended, Open
from verifier.incidents.event import Kind
from verifier.incidents.kinds import PIPELINE_KINDS, SPECS, KindSpec

_ENDS = {
    Ended.OVER: "over",
    Ended.REFUTED: "taken back: late lines showed that there was none",
    Ended.DISABLED: "no longer watched",
}


def counts(kind: Kind, known: Open) -> dict[str, int]:
    """What an incident counts, by name."""
    spec = SPECS[kind]
    found = {spec.bad: known.bad}
    if known.total:
        found[spec.base] = known.total
    if known.control:
        found |= {"control": known.control, "control_lost": known.lost}
    return found


def summary(kind: Kind, policy: str, known: Open, share: float, detail: str = "") -> str:
    """One line: what, where, how much, since when.

    Args:
        kind: Which kind.
        policy: Its name; empty: the pipeline.
        known: The incident.
        share: The declared share, 0 to 1, where one is.
        detail: What the pipeline says more exactly; empty: nothing.
    """
    spec = SPECS[kind]
    where = policy or "pipeline"
    size = detail or _size(spec, known, share)
    since = _clock(known.first_us)
    ended = f"; {_ENDS[known.ended]}" if known.ended else ""
    return f"{where}: {spec.title} ({size}) since {since}{ended}"


def _size(spec: KindSpec, known: Open, share: float) -> str:
    if not known.total:
        return f"{known.bad:,} {spec.bad}"
    percent = _percent(known.bad / known.total)
    if spec.kind is Kind.PERCENTAGE:
        return f"{percent} instead of {_percent(share)} of {known.total:,} {spec.base}"
    return f"{known.bad:,} of {known.total:,} {spec.base}, {percent}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _clock(time_us: int) -> str:
    """A time to the second, UTC."""
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def is_of_pipeline(kind: Kind) -> bool:
    """Whether a kind is of the pipeline as a whole."""
    return kind in PIPELINE_KINDS
