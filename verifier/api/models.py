"""What the API answers with. Times are RFC 3339, UTC, with milliseconds."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from verifier.listed import LONGEST, MOST

Row = TypeVar("Row")

Time = Annotated[
    str,
    Field(
        description="RFC 3339, UTC",
        examples=["2026-11-22T15:13:00.927Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
StatementName = Literal["proven", "violated", "not_proven"]


class Page(BaseModel, Generic[Row]):
    """Rows in order, and where the next ones begin."""

    items: list[Row]
    next_cursor: str | None = Field(description="For `cursor`; null: this is the last page")


class Share(BaseModel):
    """Declared and observed share of copied requests, percent."""

    declared: float
    observed: float | None = Field(description="null: no request")
    low: float | None = Field(description="95 % interval")
    high: float | None
    consistent: bool


class Verdicts(BaseModel):
    """How many of each verdict."""

    matched: int
    missing: int
    unsampled: int
    exempt: int
    pending: int
    unverifiable: int
    duplicate: int
    leak: int
    orphan: int
    ambiguous: int


class TimeRange(BaseModel):
    """From a time up to, and without, another."""

    since: Time
    until: Time


class Unsettled(TimeRange):
    """A stretch whose lines were dropped before they were settled."""


class StatementAnswer(BaseModel):
    """What a range amounts to: all its windows by their latest revisions."""

    policy: str
    statement: StatementName
    reason: str
    asked: TimeRange
    judged: TimeRange = Field(description="What was asked, rounded outwards to whole windows")
    settled_to: Time | None = Field(description="null: nothing is settled")
    windows: int = Field(description="Windows with lines")
    requests: int
    requests_high: int = Field(description="At most so many: attempts may be requests of their own")
    verdicts: Verdicts
    percentage: Share
    pairs: int = Field(description="Matched pairs with one answer a side")
    status_differs: int = Field(description="Pairs whose status differs")
    control: int = Field(description="Requests that a sender saw answered")
    control_lost: int = Field(description="Those without a line of the primary: lost logs")
    log_loss: int = Field(
        description="Of the unverifiable: explained by lost logs; the control group of the whole"
        " range tells, so that findings of its windows may call them missing"
    )
    unsettled: list[Unsettled]
    too_late: int = Field(description="Lines that came when others of their window were dropped")


class Window(BaseModel):
    """One revision of a window."""

    policy: str
    start: Time
    end: Time
    revision: int
    latest: bool
    statement: StatementName
    reason: str
    requests: int
    requests_high: int
    verdicts: Verdicts
    percentage: Share
    pairs: int
    status_differs: int
    findings: int = Field(description="Stored; at most verifier.max_findings")
    policy_version: int
    settled_at: Time
    superseded_at: Time | None
    digest: str = Field(description="Over all of it and the row before, see `audit verify`")


class Line(BaseModel):
    """One line of a finding's evidence, as it was redacted before it was stored."""

    side: str
    pod: str
    namespace: str
    started_at: Time
    ended_at: Time
    code: int
    flags: str
    details: str
    authority: str
    topic: str
    partition: int
    offset: int
    item: int
    user_agent: str | None = None


class Finding(BaseModel):
    """One request or arrival that is not matched."""

    id: int
    policy: str
    verdict: str
    reason: str
    mirror: str
    started_at: Time
    count: int
    request_id: str
    method: str
    path: str
    window_start: Time
    revision: int
    superseded_at: Time | None = Field(description="null: it stands")
    evidence: list[Line] | None = Field(description="null: needs the scope raw")


class ShownLine(BaseModel):
    """One stored line of a request."""

    side: str
    pod: str
    started_at: Time
    duration_ms: int
    code: int
    flags: str
    authority: str
    forwarded_for: str | None
    place: str


class Episode(BaseModel):
    """Lines that are judged together, and what they came to by all that is stored now."""

    policy: str
    method: str
    path: str
    verdicts: dict[str, int] = Field(description="Empty: lines of its time are no longer stored")
    reasons: list[str]
    requests: int
    requests_high: int
    lines: list[ShownLine]


class Told(BaseModel):
    """What was said of a request when its window was settled: its verdict's history."""

    policy: str
    verdict: str
    reason: str
    window_start: Time
    revision: int
    superseded: bool
    method: str
    path: str
    evidence: list[dict[str, Any]]


class RequestAnswer(BaseModel):
    """All that is known of a request id; it may mean several requests."""

    request_id: str
    episodes: list[Episode]
    findings: list[Told]
    lines_kept_from: Time | None = Field(description="Earlier lines may be dropped")


class RequestIds(BaseModel):
    """A list of request ids, as auditors have one."""

    ids: list[Annotated[str, Field(min_length=1, max_length=LONGEST)]] = Field(
        min_length=1,
        max_length=MOST,
        description="As any proxy logged them; each is answered once",
        examples=[["46ce024f-97b3-4a45-8f73-2d4ef365608d", "f3a0f7d2-7c5f-9b1e-8f55-0a6c2f3f9c11"]],
    )


class RequestAnswers(BaseModel):
    """What is known of each id, in the order in which they were asked."""

    items: list[RequestAnswer]
    not_found: list[str] = Field(description="Ids that no stored line or finding has")


class RequestRow(BaseModel):
    """One request of an id, or that nothing is known of the id."""

    request_id: str
    found: bool
    policy: str
    method: str
    path: str
    started_at: str = Field(description="Of its first line, RFC 3339; empty: no line is known")
    verdict: str
    reason: str


class Version(BaseModel):
    """One version of a policy."""

    version: int
    name: str
    valid_from: Time | None = Field(description="null: since ever")
    valid_to: Time | None = Field(description="null: in force")
    recorded_at: Time
    document: dict[str, Any]


class PolicySummary(BaseModel):
    """A policy by its newest version, and how far it is settled."""

    name: str
    version: int
    hosts: list[str]
    live: list[str]
    mirrors: list[str]
    in_force: bool
    settled_to: Time | None


class LintLine(BaseModel):
    """One thing that looks wrong."""

    severity: Literal["error", "warning", "note"]
    where: str
    code: str
    message: str


class LintAnswer(BaseModel):
    """What policies look like."""

    policies: list[str]
    lint: list[LintLine]


class Applied(BaseModel):
    """What was recorded."""

    policies: list[str]
    new_versions: list[int]
    lint: list[LintLine]


class Erased(BaseModel):
    """What an erasure took away."""

    request_id: str
    lines: int
    findings: int
    quarantined: int


class Health(BaseModel):
    """Whether it works."""

    status: Literal["ok", "failing"]
    reasons: dict[str, str] = {}
