"""Logs of the product: one event a line, whoever says it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from collector import log


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The events on standard error."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("restored")
def test_what_libraries_say_is_one_event_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Of uvicorn with a traceback, too; its chatter is left out."""
    log.configure("info", "json")
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.info("Started server process [%d]", 7)
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        uvicorn.exception("Exception in ASGI application\n")

    events = said(capsys)
    assert [event["level"] for event in events] == ["error"]
    assert "of two\nlines" in events[0]["exception"]


@pytest.mark.usefixtures("restored")
def test_requests_are_told_at_debug_level_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own events have their level, time and keys."""
    logger = log.get_logger(component="api")
    for level in ("info", "debug"):
        log.configure(level, "json")
        logger.debug("request_answered", path="/a\nb", status=200)

    (event,) = said(capsys)
    assert event | {"timestamp": ""} == {
        "component": "api", "event": "request_answered", "level": "debug", "path": "/a\nb",
        "status": 200, "timestamp": "",
    }  # fmt: skip
