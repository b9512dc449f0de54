"""What the API says of ingestion and quarantine; conventions as in `models`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from verifier.api.models import Time


class Position(BaseModel):
    """How far one partition is read."""

    topic: str
    partition: int
    next_offset: int
    end_offset: int | None = Field(description="The broker's word; null: never asked")
    end_checked_at: Time | None
    lag: int | None = Field(description="Records that wait, by the broker's last word")
    owner: str | None = Field(description="Who reads it; null: nobody")
    watermark: Time | None = Field(description="Largest end time that it brought")
    state: Literal["running", "stopped"]
    reason: str
    updated_at: Time


class WatermarkAnswer(BaseModel):
    """Up to when event time is complete."""

    watermark: Time | None = Field(description="null: nothing is known to be complete")
    finished: bool = Field(description="Only files were read, to their ends")
    held_by: str = Field(description="The partition that is furthest behind")
    now: Time


class Hole(BaseModel):
    """Evidence that is known to be lost or unknown."""

    kind: Literal["gap", "unsettled", "stopped"]
    where: str
    since: Time | None
    until: Time | None
    records: int | None
    reason: str


class Quarantined(BaseModel):
    """A line, or records, that nobody could read."""

    id: int
    topic: str
    partition: int
    offset: int
    item: int
    reason: str
    length: int = Field(description="Bytes; 0: a gap, records that were passed over")
    records: int
    sha256: str
    quarantined_at: Time
    replayed_at: Time | None
    identity: dict[str, Any]
    prefix: str | None = Field(description="How it begins, redacted; null: needs the scope raw")


class QuarantineReason(BaseModel):
    """How many of one reason."""

    reason: str
    records: int
    last_at: Time


class Replayed(BaseModel):
    """What became of a quarantined line that was read again."""

    id: int
    outcome: Literal["stored", "ignored", "still unreadable", "gone", "replayed before"]
