"""The words of alerts, the same in every form: pure."""

from __future__ import annotations

from typing import Any, Final

from verifier.alerts.forms.form import About, Size
from verifier.incidents.event import Event, Example, Status
from verifier.times import iso_time

_NAME: Final = 200
"""Characters of names, ids and paths: what is longer was chosen by somebody for mischief."""


def cut(text: str, most: int) -> str:
    """Text of at most so many characters; what is cut off leaves an ellipsis.

    Lone surrogates, which no encoder takes, are replaced.
    """
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return whole if len(whole) <= most else whole[: max(most - 1, 0)] + "…"


def title(event: Event) -> str:
    """What is wrong, and where: `critical: missing on weather/forecast-route`."""
    where = f" on {cut(event.policy, _NAME)}" if event.policy else ""
    test = "TEST, no action needed: " if event.test else ""
    word = "resolved" if event.status == Status.RESOLVED else event.severity.value
    return f"{test}{word}: {event.kind.replace('_', ' ')}{where}"


def counted(event: Event) -> str:
    """What was counted: `requests 1852, missing 368`."""
    return ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in _counts(event).items())


def paragraphs(event: Event, size: Size) -> list[tuple[str, str]]:
    """The texts with their headings; the first has none."""
    found = [
        ("", event.summary),
        ("Counted", counted(event)),
        ("Likely cause", event.cause),
        ("Look at", event.advice),
    ]
    return [(head, cut(text, size.characters)) for head, text in found if text]


def example_line(example: Example) -> str:
    """One example for people."""
    what = f"{example.verdict}: {example.method} {example.path} {example.request_id}"
    return f"{iso_time(example.started_us)} {cut(what, _NAME)}"


def plain(event: Event, about: About, size: Size) -> dict[str, Any]:
    """An event as JSON, in the words of the product."""
    found = {
        "id": event.id,
        "incident_id": event.incident_id,
        "sequence": event.sequence,
        "kind": event.kind.value,
        "policy": cut(event.policy, _NAME),
        "severity": event.severity.value,
        "reason": event.reason.value,
        "status": event.status.value,
        "at": iso_time(event.at_us),
        "opened_at": iso_time(event.opened_us),
        "first_at": iso_time(event.first_us),
        "last_at": iso_time(event.last_us),
        "resolved_at": None if event.resolved_us is None else iso_time(event.resolved_us),
        "counts": _counts(event),
        "summary": cut(event.summary, size.characters),
        "cause": cut(event.cause, size.characters),
        "advice": cut(event.advice, size.characters),
        "examples": [_example(one) for one in event.examples[: size.examples]],
        "test": event.test,
    }
    return found | ({"url": about.link(event)} if about.link(event) else {})


def _counts(event: Event) -> dict[str, int]:
    return {cut(name, 64): number for name, number in list(event.counts.items())[:20]}


def _example(example: Example) -> dict[str, str]:
    return {
        "request_id": cut(example.request_id, _NAME),
        "method": cut(example.method, 32),
        "path": cut(example.path, _NAME),
        "started_at": iso_time(example.started_us),
        "verdict": cut(example.verdict, 32),
        "reason": cut(example.reason, _NAME),
    }
