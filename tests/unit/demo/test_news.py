"""What the demo's receiver was told, as lines."""

from __future__ import annotations

import json
from typing import Any

from verifier.demo.news import news
from verifier.demo.receiver import Received


def told(number: int, **data: Any) -> Received:
    """A notification in the form of Standard Webhooks."""
    known = {"status": "firing", "severity": "critical", "reason": "first", "summary": "3 lost"}
    body = json.dumps({"data": known | data}).encode()
    return Received(path="/hook", headers={"webhook-id": f"inc_1_{number}"}, body=body)


def test_each_notification_is_a_line() -> None:
    """What opened with its likely cause, what grew, and what is over."""
    assert news(
        [
            told(1, cause="one v1 pod"),
            told(2, reason="grew"),
            told(3, status="resolved", reason="resolved", cause="one v1 pod"),
        ]
    ) == [
        "ALERT: critical: 3 lost; one v1 pod",
        "ALERT grew: critical: 3 lost",
        "resolved: critical: 3 lost",
    ]


def test_what_is_sent_twice_is_shown_once() -> None:
    """A delivery that was repeated has the same webhook-id."""
    assert len(news([told(1), told(1), told(2)])) == 2
