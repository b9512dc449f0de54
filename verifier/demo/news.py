"""What the demo's receiver was told, as lines to show. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from verifier.demo.receiver import Received

_WORDS: Final = {"first": "ALERT", "grew": "ALERT grew", "still_there": "ALERT still there"}


def news(received: Sequence[Received]) -> list[str]:
    """A line for each notification, in the order in which they came; a repeated one counts once.

    Args:
        received: Requests in the form of Standard Webhooks.
    """
    unique = {one.headers.get("webhook-id", ""): one for one in received}
    return [_line(one.json["data"]) for one in unique.values()]


def _line(told: dict[str, Any]) -> str:
    what = "resolved" if told["status"] == "resolved" else _WORDS.get(told["reason"], "ALERT")
    cause = f"; {told['cause']}" if told.get("cause") and what == "ALERT" else ""
    return f"{what}: {told['severity']}: {told['summary']}{cause}"
