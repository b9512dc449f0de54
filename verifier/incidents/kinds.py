"""The kinds of incidents: what is counted, what is tolerated, who is told how soon. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from verifier.incidents.event import Kind, Severity

SECOND_US: Final = 1_000_000


class KindSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a kind unless a policy's rules or the settings say otherwise.

    Attributes:
        kind: Which.
        title: What is wrong, for people.
        bad: What is counted, in the plural.
        base: Of what.
        threshold: Share that is tolerated for ever; None: no share is tested, see `meaning`.
        for_us: So long it must last before it is told, in event time; conditions, in real time.
        clear_us: So long it must be over.
        severity: How soon somebody should look.
        critical_share: At once from this share on; None: never but by `severity`.
        meaning: When it opens, for the README.
    """

    kind: Kind
    title: str
    bad: str
    base: str
    threshold: float | None
    for_us: int
    severity: Severity
    critical_share: float | None = None
    clear_us: int = 120 * SECOND_US
    meaning: str


SHIPPING_LOSS: Final = 0.0002
"""Share of lines that may be lost in shipping without anybody being told; ten lost lines in a
hundred thousand are usual, and the control group tells when it is more."""

_MINUTE_US: Final = 60 * SECOND_US
_HOUR_US: Final = 60 * _MINUTE_US


def _of_policy(
    kind: Kind,
    title: str,
    counted: tuple[str, str],
    threshold: float | None,
    severity: Severity,
    meaning: str,
    *,
    for_us: int = 2 * _MINUTE_US,
    clear_us: int = 2 * _MINUTE_US,
    critical_share: float | None = None,
) -> KindSpec:
    return KindSpec(
        kind=kind, title=title, bad=counted[0], base=counted[1], threshold=threshold,
        for_us=for_us, clear_us=clear_us, severity=severity, critical_share=critical_share,
        meaning=meaning,
    )  # fmt: skip


_POLICY_KINDS: Final = (
    _of_policy(
        Kind.MISSING, "copies are missing", ("missing", "owed"),
        SHIPPING_LOSS, Severity.WARNING, critical_share=0.01, for_us=0,
        meaning="more copies are missing than tolerance and lost log lines explain",
    ),
    _of_policy(
        Kind.LEAK, "live traffic reaches the mirror", ("leaked", "requests"),
        0.00001, Severity.CRITICAL, for_us=0,
        meaning="live requests arrive at a mirror that the policy does not send there",
    ),
    _of_policy(
        Kind.PERCENTAGE, "the copied share is not the declared one", ("copied", "requests"),
        None, Severity.WARNING, for_us=0,
        meaning="the share of copied requests is not the declared percentage (below 100 %)",
    ),
    _of_policy(
        Kind.STATUS_DIVERGENCE, "the mirror answers with other statuses", ("differ", "pairs"),
        None, Severity.WARNING, for_us=0, clear_us=_HOUR_US,
        meaning="the class of the status differs by more than noise at an endpoint, or at all",
    ),
    _of_policy(
        Kind.LATENCY_DIVERGENCE, "the mirror is slower or faster", ("differ", "pairs"),
        None, Severity.WARNING, for_us=0, clear_us=_HOUR_US,
        meaning="the latency differs by more than noise at an endpoint, or at all",
    ),
    _of_policy(
        Kind.SIZE_DIVERGENCE, "the mirror's answers have other sizes", ("differ", "pairs"),
        None, Severity.WARNING, for_us=0, clear_us=_HOUR_US,
        meaning="the size of the answers differs by more than noise at an endpoint, or at all",
    ),
    _of_policy(
        Kind.MIRROR_SILENT, "a mirror has never logged", ("unverifiable", "requests"),
        0.01, Severity.WARNING, critical_share=0.9,
        meaning="requests are unverifiable as a mirror never said anything",
    ),
    _of_policy(
        Kind.EVIDENCE_HOLE, "evidence is lacking", ("unverifiable", "requests"),
        0.01, Severity.WARNING,
        meaning="requests are unverifiable or ambiguous as logs have holes or cannot be read",
    ),
    _of_policy(
        Kind.DUPLICATES, "copies arrive more than once", ("duplicates", "copies"),
        SHIPPING_LOSS, Severity.INFO,
        meaning="more copies arrive than are owed",
    ),
    _of_policy(
        Kind.ORPHANS, "copies arrive without a request", ("orphans", "copies"),
        SHIPPING_LOSS, Severity.INFO,
        meaning="copies arrive whose request is in no log, although the senders' logs are complete",
    ),
    _of_policy(
        Kind.UNDECLARED, "traffic does not fit the declared policy", ("undeclared", "requests"),
        0.01, Severity.WARNING,
        meaning="requests are unverifiable as no line shows their route, or the mirror takes live "
        "traffic too",
    ),
    _of_policy(
        Kind.UNKNOWN_VERSION, "pods of unknown version receive requests", ("unknown", "requests"),
        0.00001, Severity.WARNING,
        meaning="requests of the policy's service are received by pods whose version nothing tells",
    ),
    _of_policy(
        Kind.LINT, "the policy is wrong", ("lints", "policy"),
        None, Severity.WARNING, for_us=0,
        meaning="`policy lint` finds an error in the version in force",
    ),
    _of_policy(
        Kind.MARKER, "copies are told by another mark", ("changes", "policy"),
        None, Severity.WARNING, for_us=0, clear_us=_MINUTE_US,
        meaning="another mark than before tells copies from live requests (`policy markers`), "
        "within the last hour",
    ),
)  # fmt: skip

_PIPELINE_KINDS: Final = (
    KindSpec(
        kind=Kind.QUARANTINE, title="log lines cannot be read", bad="quarantined", base="lines",
        threshold=0.01, for_us=0, severity=Severity.WARNING, critical_share=0.5,
        meaning="a larger share of the lines goes to quarantine",
    ),
    KindSpec(
        kind=Kind.STALLED, title="a partition stands still", bad="partitions", base="partitions",
        threshold=None, for_us=0, severity=Severity.CRITICAL,
        meaning="a partition was stopped, or has records and was not read on for `stall_s`",
    ),
    KindSpec(
        kind=Kind.GAP, title="records were passed over", bad="records", base="gaps",
        threshold=None, for_us=0, clear_us=_HOUR_US, severity=Severity.WARNING,
        meaning="records were passed over unread, within the last hour",
    ),
    KindSpec(
        kind=Kind.NO_COLLECTOR, title="no collector is alive", bad="collectors", base="collectors",
        threshold=None, for_us=0, severity=Severity.CRITICAL,
        meaning="no collector gave a sign of life for `collector_away_s`",
    ),
    KindSpec(
        kind=Kind.UNACKNOWLEDGED, title="a policy waits for collectors", bad="versions",
        base="versions", threshold=None, for_us=0, severity=Severity.WARNING,
        meaning="a live collector did not acknowledge a version of a policy for `acknowledge_s`; "
        "nothing of the policy is settled until then",
    ),
    KindSpec(
        kind=Kind.WATERMARK_LAG, title="verdicts are late", bad="seconds", base="partitions",
        threshold=None, for_us=0, severity=Severity.WARNING,
        meaning="event time is complete only up to `watermark_lag_s` ago, and no other kind of "
        "the pipeline says why",
    ),
)  # fmt: skip

SPECS: Final = {spec.kind: spec for spec in (*_POLICY_KINDS, *_PIPELINE_KINDS)}
POLICY_KINDS: Final = tuple(spec.kind for spec in _POLICY_KINDS)
PIPELINE_KINDS: Final = tuple(spec.kind for spec in _PIPELINE_KINDS)


DIVERGENCES: Final = {
    Kind.STATUS_DIVERGENCE: "status",
    Kind.LATENCY_DIVERGENCE: "latency",
    Kind.SIZE_DIVERGENCE: "size",
}
"""What is compared, in the words of `verifier.statistics.compare`."""

POLICY_CONDITIONS: Final = frozenset((Kind.LINT, Kind.MARKER, *DIVERGENCES))
"""Kinds of policies that hold or do not; of the others, windows say a share."""


class KindRule(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of one policy is told: `KindSpec` with what the user says otherwise.

    Attributes:
        spec: The kind.
        severity: How soon somebody should look.
        critical_share: At once from this share on; None: never but by `severity`.
        threshold: Share that is tolerated.
        for_us: So long it must hold.
        clear_us: So long it must be over.
        repeat_us: How often to tell that it is still there; 0: never.
        alarms_a_year: How many incidents a year may open by chance.
        enabled: False: nothing of it is told.
    """

    spec: KindSpec
    severity: Severity
    critical_share: float | None
    threshold: float | None
    for_us: int
    clear_us: int
    repeat_us: int
    alarms_a_year: float
    enabled: bool = True
