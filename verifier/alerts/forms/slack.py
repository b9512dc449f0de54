"""Slack's incoming webhooks.

Sources: Slack, "Sending messages using incoming webhooks" (an accepted message is answered by
`ok`), "Formatting text for app surfaces" (three characters are escaped), "Section block" (3000
characters of text).
"""

from __future__ import annotations

from typing import Any, Final

from verifier.alerts.exchange import Reply, Request
from verifier.alerts.forms.form import About, Address, Form, Size, fitted, posting
from verifier.alerts.forms.text import cut, example_line, paragraphs, title
from verifier.alerts.outcome import Result, failed
from verifier.incidents.event import Event, Severity, Status

SECTION: Final = 3_000
_MOST_BYTES: Final = 40_000
_COLORS: Final = {
    Severity.CRITICAL: "#b3261e",
    Severity.WARNING: "#b26a00",
    Severity.INFO: "#3367d6",
}
_RESOLVED: Final = "#1e7d34"


def escaped(text: str) -> str:
    """Text without links, mentions and channels: what strangers wrote stays text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def message(event: Event, about: About, size: Size) -> dict[str, Any]:
    """The body."""
    texts = [
        f"*{head}*\n{escaped(text)}" if head else escaped(text)
        for head, text in paragraphs(event, size)
    ]
    lines = [example_line(one).replace("`", "'") for one in event.examples[: size.examples]]
    if lines:
        texts.append("*For instance*\n" + "\n".join(f"`{escaped(line)}`" for line in lines))
    if link := about.link(event):
        texts.append(f"<{escaped(link)}|Open the incident>")
    resolved = event.status == Status.RESOLVED
    color = _RESOLVED if resolved else _COLORS[event.severity]
    return {
        "text": escaped(title(event)),
        "attachments": [{"color": color, "blocks": [_section(text) for text in texts]}],
    }


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, SECTION)}}


def request(event: Event, address: Address, about: About) -> Request:
    """Posts a message with a colored attachment."""
    return posting(address, fitted(lambda size: message(event, about, size), _MOST_BYTES))


def judge(reply: Reply) -> Result | None:
    """Success is `ok` in plain text, and nothing else."""
    if 200 <= reply.status <= 299 and reply.body.strip() != b"ok":
        return failed(f"{reply.status}, but not the answer of Slack")
    return None


FORM: Final = Form(name="slack", request=request, judge=judge)
