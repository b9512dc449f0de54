"""The settings of incidents: when drift and trouble of the pipeline are told."""

from __future__ import annotations

from pydantic import Field

from collector.settings.forms import Section


class IncidentSettings(Section):
    """When something is told. A policy's `rules.incidents` say it for one policy."""

    false_alarms_a_year: float = Field(
        default=0.01,
        gt=0,
        le=100,
        description="How many incidents a year, of one kind of one policy, may open for nothing "
        "but chance. Less takes longer.",
    )
    confirm_s: float = Field(
        default=60.0,
        ge=0,
        description="How long after it is settled a window begins to count, seconds: what late "
        "lines correct until then is never told.",
    )
    shipping_loss: float = Field(
        default=0.0002,
        gt=0,
        lt=1,
        description="Share of missing copies, duplicates and orphans that is taken for lost log "
        "lines and never told. Beyond it, the senders' logs tell how many lines are lost.",
    )
    repeat_s: float = Field(
        default=14_400.0,
        ge=0,
        description="How often to tell that an incident is still there, seconds; 0: never.",
    )
    quarantine_share: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="Share of lines that may go to quarantine without being told.",
    )
    stall_s: float = Field(
        default=300.0,
        gt=0,
        description="A partition that has records and was not read on for so long stands still, "
        "seconds.",
    )
    collector_away_s: float = Field(
        default=60.0,
        gt=0,
        description="Without a sign of life of any collector for so long, none is alive, seconds.",
    )
    acknowledge_s: float = Field(
        default=120.0,
        gt=0,
        le=86_400,
        description="A version of a policy that a live collector did not acknowledge for so long "
        "is stuck, seconds.",
    )
    watermark_lag_s: float = Field(
        default=300.0,
        gt=0,
        description="Verdicts are late when event time is complete only up to so long ago, "
        "seconds.",
    )
