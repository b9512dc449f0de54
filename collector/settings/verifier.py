"""The settings of settling."""

from __future__ import annotations

from pydantic import Field

from collector.settings.forms import Listen, Section


class VerifierSettings(Section):
    """How windows are settled."""

    window_s: int = Field(
        default=10, ge=1, le=3_600, description="Size of a window of event time, seconds."
    )
    shipping_allowance_s: float = Field(
        default=5.0,
        ge=0,
        le=3_600,
        description="How long a line may take from its end to Kafka while its partition is idle, "
        "seconds.",
    )
    evidence_max_age_s: float = Field(
        default=20.0,
        gt=0,
        le=3_600,
        description="How old the brokers' end offsets may be; a partition without fresh ones "
        "holds all windows back, seconds.",
    )
    poll_s: float = Field(
        default=0.5, gt=0, le=60, description="How often to look for what is due, seconds."
    )
    lease_s: float = Field(
        default=10.0,
        ge=1,
        le=600,
        description="After so long without a sign of life another verifier takes over, seconds.",
    )
    max_windows: int = Field(
        default=12, ge=1, le=1_000, description="Most windows of a policy in one transaction."
    )
    max_findings: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Most findings of a window that are stored with evidence; all are counted.",
    )
    health_listen: Listen = Field(
        default="",
        description="Where `verify` answers probes, `/livez` and `/readyz`, and Prometheus, "
        "`/metrics`: HOST:PORT or :PORT for all addresses. Unset: nowhere.",
    )
    hang_s: float = Field(
        default=600.0,
        ge=10,
        description="A verifier that makes no step for so many seconds hangs, and `/livez` fails. "
        "A step settles up to max_windows of every policy.",
    )
