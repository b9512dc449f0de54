"""Ends a wait for a database that took the question and never answers.

The driver waits for an answer without end: a server that is frozen, or a proxy whose server is
gone, keeps the connection alive and says nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any
from weakref import WeakSet

from sqlalchemy import Engine, event


class Interrupter:
    """Ends the connections of an engine, called by any thread; those who wait get an error.

    Connections that nobody waits for are made anew when they are needed. SQLite has a time-out
    of its own, and nothing is ended there.

    Args:
        engine: Whose connections.
    """

    def __init__(self, engine: Engine) -> None:
        self._open: WeakSet[Any] = WeakSet()
        if engine.dialect.name == "postgresql":
            event.listen(engine, "checkout", lambda raw, *_: self._open.add(raw))
        driver: Any = engine.dialect.loaded_dbapi
        self._closed = (OSError, driver.Error)

    def __call__(self) -> None:
        """Ends them all."""
        for raw in tuple(self._open):
            # A twin: closing it leaves the driver's own descriptor alone.
            with (
                contextlib.suppress(*self._closed),
                socket.socket(fileno=os.dup(raw.fileno())) as twin,
            ):
                twin.shutdown(socket.SHUT_RDWR)
