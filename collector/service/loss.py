"""Why a partition cannot be read on without a loss."""

from __future__ import annotations

from collector.db.positions import Claim
from collector.sources.protocol import Bounds


def loss(claim: Claim, bounds: Bounds, topic_id: str | None) -> str:
    """Why a partition cannot be read on without a loss; empty: it can.

    A log that ends before our offset is the source's to report (`Polled.broken`): the broker
    knows its end for certain only while it serves a read.

    Args:
        claim: Where we would read on, and the topic's identity when we began.
        bounds: What the broker holds.
        topic_id: The topic's identity now.
    """
    if claim.topic_id and topic_id and claim.topic_id != topic_id:
        return f"the topic was created again: its id is {topic_id}, was {claim.topic_id}"
    if claim.next_offset < bounds.begin:
        last = bounds.begin - 1
        return f"records {claim.next_offset} to {last} expired before they were read"
    return ""
