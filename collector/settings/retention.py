"""The settings of how long things are kept."""

from __future__ import annotations

from pydantic import Field

from collector.settings.forms import Section


class RetentionSettings(Section):
    """How long things are kept. Policies and positions stay for ever."""

    lines_days: float = Field(
        default=7.0,
        ge=0,
        description="How long lines are kept from when they were stored, days; 0: for ever. "
        "PostgreSQL drops whole partitions.",
    )
    unsettled_days: float = Field(
        default=30.0,
        ge=0,
        description="How long lines are kept, at most, that are not settled yet, days; "
        "0: for ever. Never less than others.",
    )
    batches_days: float = Field(
        default=30.0,
        ge=0,
        description="How long it is kept which records each transaction read, days; 0: for ever. "
        "Never less than their lines.",
    )
    quarantine_days: float = Field(
        default=30.0, ge=0, description="How long quarantined lines are kept, days; 0: for ever."
    )
    nodes_days: float = Field(
        default=30.0,
        ge=0,
        description="How long nodes without a sign of life, and pods of the cluster that ended, "
        "are remembered, days; 0: for ever.",
    )
    windows_days: float = Field(
        default=400.0,
        ge=0,
        description="How long settled windows, the verdicts, are kept, days; 0: for ever.",
    )
    findings_days: float = Field(
        default=90.0,
        ge=0,
        description="How long findings with their lines are kept, days; 0: for ever. "
        "Never longer than their windows.",
    )
    alerts_days: float = Field(
        default=90.0,
        ge=0,
        description="How long messages to receivers of alerts are kept after they were delivered "
        "or given up, days; 0: for ever.",
    )
    incidents_days: float = Field(
        default=400.0,
        ge=0,
        description="How long incidents are kept after they were resolved, and silences after "
        "their end, days; 0: for ever.",
    )
    every_s: float = Field(
        default=60.0,
        gt=0,
        le=3_600,
        description="How often a collector looks what is to be dropped or indexed, seconds.",
    )
