"""Microsoft Teams, through a workflow that posts an adaptive card.

Sources: Microsoft Learn, "Create an Incoming Webhook" and "Format cards in Teams": 28 KB, at most
four requests a second; the retired connectors answer 200 with an error in words. What strangers
wrote goes into RichTextBlocks, which know no Markdown.
"""

from __future__ import annotations

import re
from typing import Any, Final

from verifier.alerts.exchange import Reply, Request
from verifier.alerts.forms.form import About, Address, Form, Size, fitted, posting
from verifier.alerts.forms.text import example_line, paragraphs, title
from verifier.alerts.outcome import Outcome, Result, of_status
from verifier.incidents.event import Event, Severity, Status

MOST_BYTES: Final = 28_000
_COLORS: Final = {
    Severity.CRITICAL: "attention",
    Severity.WARNING: "warning",
    Severity.INFO: "accent",
}


def card(event: Event, about: About, size: Size) -> dict[str, Any]:
    """The adaptive card, version 1.2."""
    color = "good" if event.status == Status.RESOLVED else _COLORS[event.severity]
    body = [_text(_run(title(event), weight="bolder", size="medium", color=color))]
    for name, text in paragraphs(event, size):
        heading = [_run(f"{name}: ", weight="bolder")] if name else []
        body.append(_text(*heading, _run(text)))
    lines = [example_line(one) for one in event.examples[: size.examples]]
    body += [_text(_run(line, fontType="monospace")) for line in lines]
    found: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "msteams": {"width": "Full"},
        "body": body,
    }
    if link := about.link(event):
        action = {"type": "Action.OpenUrl", "title": "Open the incident", "url": link}
        found["actions"] = [action]
    return found


def message(event: Event, about: About, size: Size) -> dict[str, Any]:
    """The body: a message with the card."""
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card(event, about, size),
    }
    return {"type": "message", "attachments": [attachment]}


def _run(text: str, **style: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _text(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs), "spacing": "small"}


def request(event: Event, address: Address, about: About) -> Request:
    """Posts a message with one card."""
    return posting(address, fitted(lambda size: message(event, about, size), MOST_BYTES))


def judge(reply: Reply) -> Result | None:
    """A 200 may hold an error in words, with the status that is meant."""
    found = re.search(rb"HTTP error (\d{3})", reply.body) if reply.status == 200 else None
    meant = of_status(int(found[1])) if found else None
    if meant is None or meant.outcome is Outcome.DELIVERED:
        return None
    return Result(outcome=meant.outcome, reason=f"200, meaning {meant.reason}", status=200)


FORM: Final = Form(name="teams", request=request, judge=judge)
