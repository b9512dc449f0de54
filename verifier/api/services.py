"""What the routes work with, made once and handed in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Request
from sqlalchemy import Connection, Engine, text

from collector.clock import Clock
from collector.db.engine import reading, writing
from collector.db.kept import hold_lines
from collector.settings import Settings
from verifier.settle.lease import database_now_us

_LOOK_EVERY: Final = 10_000
"""Steps of SQLite's virtual machine: about a millisecond."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes work with.

    Attributes:
        engine: The database, migrated.
        settings: All settings.
        clock: For rate limits.
        secret: Signs cursors and sessions; all replicas share it.
        now_us: The database's clock, µs since the epoch.
    """

    engine: Engine
    settings: Settings
    clock: Clock
    secret: bytes
    now_us: Callable[[Connection], int] = database_now_us

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot, in which no question takes for ever and no partition goes."""
        with reading(self.engine) as connection:
            hold_lines(connection)
            with _bounded(connection, self.settings.api.statement_timeout_s):
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at its end."""
        with writing(self.engine) as connection:
            yield connection


@contextmanager
def _bounded(connection: Connection, seconds: float) -> Iterator[None]:
    """Has the database give up what takes longer: a statement there, on SQLite all together."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL statement_timeout = {round(seconds * 1000)}"))
        yield
        return
    raw: Any = connection.connection.driver_connection
    end_s = time.monotonic() + seconds
    raw.set_progress_handler(lambda: time.monotonic() > end_s, _LOOK_EVERY)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def _snapshot(services: Annotated[Services, Depends(_services)]) -> Iterator[Connection]:
    with services.reading() as connection:
        yield connection


ServicesDep = Annotated[Services, Depends(_services)]
Snapshot = Annotated[Connection, Depends(_snapshot, scope="function")]
"""Over before the answer is sent, which a slow client may take its time to read."""
__all__: Final = ["Services", "ServicesDep", "Snapshot"]
