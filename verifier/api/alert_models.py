"""What the API says of incidents, silences, endpoints, answers; conventions as in `models`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from verifier.api.models import Time
from verifier.incidents.event import Kind, Severity


class IncidentExample(BaseModel):
    """A finding behind an incident."""

    request_id: str
    method: str
    path: str
    started_at: Time
    verdict: str
    reason: str


class Incident(BaseModel):
    """One drift of one kind on one policy, open or over."""

    id: int
    policy: str = Field(description="Empty: the pipeline")
    kind: str = Field(description="One of the kinds of the README, or of a newer release")
    severity: Severity
    status: Literal["firing", "resolved"]
    opened_at: Time
    first_at: Time = Field(description="Event time of the first drift")
    last_at: Time
    resolved_at: Time | None
    ended: str | None = Field(description="over, refuted or disabled; null: it is open")
    notifications: int
    told_at: Time | None
    counts: dict[str, int]
    summary: str
    cause: str = Field(description="What the findings have in common; empty: nothing")
    advice: str = Field(description="What to look at in Envoy and Istio")
    examples: list[IncidentExample]


class Delivery(BaseModel):
    """What became of one notification at one endpoint."""

    endpoint: str
    event_id: str = Field(description="The webhook-id")
    state: str = Field(description="pending, repeating, delivered, dead or dropped")
    attempts: int
    created_at: Time
    delivered_at: Time | None
    last_attempt_at: Time | None
    last_reason: str | None
    last_status: int | None
    finished_at: Time | None = Field(description="null: it is still to be sent")


class IncidentAnswer(Incident):
    """An incident with all that was sent of it."""

    deliveries: list[Delivery]


class Silence(BaseModel):
    """What nobody is told of for a time."""

    model_config = {"populate_by_name": True}

    id: int
    policy: str | None = Field(description="null: every policy, and the pipeline")
    kind: str | None = Field(description="null: every kind")
    reason: str
    author: str
    since: Time = Field(alias="from", serialization_alias="from")
    until: Time
    ended_at: Time | None
    ended_by: str | None


class NewSilence(BaseModel):
    """A silence to be added."""

    model_config = {"extra": "forbid"}

    policy: str | None = Field(default=None, max_length=500, description="null: every policy")
    kind: Kind | None = Field(default=None, description="null: every kind")
    reason: Annotated[str, Field(min_length=1, max_length=1_000, description="For who wonders")]
    lasts: Annotated[
        str, Field(max_length=20, description="How long, at most 90d", examples=["2h"])
    ]


class AlertEndpoint(BaseModel):
    """A receiver of alerts, without its secrets."""

    name: str
    form: str
    origin: Literal["settings", "api"]
    kinds: list[str] = Field(description="Empty: all")
    policies: list[str] = Field(description="Patterns; empty: all")
    least_severity: Severity
    enabled: bool
    disabled_reason: str | None
    failures: int = Field(description="In a row")
    pending: int
    repeating: int
    delivered: int
    dead: int = Field(description="Given up, or refused")
    last_reason: str | None
    disabled_at: Time | None
    held_until: Time | None
    oldest_pending_at: Time | None
    last_attempt_at: Time | None
    last_success_at: Time | None


class Tried(BaseModel):
    """What became of a test event."""

    event: Literal["firing", "resolved"]
    outcome: str
    reason: str
    status: int | None


class Changed(BaseModel):
    """An endpoint that was changed."""

    name: str
    dropped: int = Field(description="Messages that are not sent any more")


class StatusPairs(BaseModel):
    """Pairs of a request and its copy that were answered with these statuses."""

    primary: int
    mirror: int
    pairs: int


class ComparedEndpoint(BaseModel):
    """How the answers of one endpoint differ between mirror and primary."""

    model_config = {"extra": "allow"}

    endpoint: str
    pairs: int
    statuses: list[StatusPairs] = Field(
        description="By status of primary and mirror; 1 to 5 are all others of that class"
    )


class DivergenceAnswer(BaseModel):
    """How the answers of a policy's mirrors differ, by endpoint."""

    policy: str
    since: Time
    until: Time
    accepted: list[Time] | None = Field(description="Begin and end of the reference period")
    diverges: bool
    endpoints: list[ComparedEndpoint]


NewEndpoint = Annotated[
    dict[str, Any],
    Field(
        description="As an entry of `alerts.endpoints`, without names of files",
        examples=[
            {"name": "audit", "form": "standard-webhooks", "url": "https://hooks.example.com/x"}
        ],
    ),
]
