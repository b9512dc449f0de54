"""Logs of the product itself: one event a line, on standard error.

Event names are constant words in snake_case; everything that varies is a key. ERROR means that
data is lost or an operator must act, WARNING that something unexpected was overcome. Libraries
log through the standard library and come out in the same form.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog

_QUIETER: Final = {
    "kafka": logging.CRITICAL,
    "alembic": logging.WARNING,
    "uvicorn": logging.WARNING,
    "httpx2": logging.WARNING,
}
"""Least level of libraries that is shown. The Kafka client writes a screenful a second while a
broker is away; our own events say it once."""


def _is_shown(record: logging.LogRecord) -> bool:
    return record.levelno >= _QUIETER.get(record.name.partition(".")[0], logging.NOTSET)


def configure(level: str = "info", form: str = "auto") -> None:
    """Sets up logging for the process.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        form: `json`, `console`, or `auto`: console on a terminal, JSON elsewhere.
    """
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    if not as_json:
        shared.pop()  # the console renderer formats tracebacks itself
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_is_shown)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def get_logger(**bound: object) -> Any:
    """A logger with keys that every one of its events carries."""
    return structlog.get_logger(**bound)


class Throttle:
    """Lets one event through in a while, for faults that repeat many times a second."""

    def __init__(self, every_s: float = 1.0) -> None:
        self._every_s = every_s
        self._last: dict[str, float] = {}

    def ready(self, name: str, now_s: float) -> bool:
        """Whether an event of that name may be logged now (monotonic seconds)."""
        last = self._last.get(name)
        if last is not None and now_s - last < self._every_s:
            return False
        self._last[name] = now_s
        return True
