"""What the routes work with, made once and handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import msgspec
from fastapi import Depends, Request
from sqlalchemy import Connection, Engine, text

from collector.clock import Clock
from collector.db.engine import reading, writing
from collector.db.kept import hold_lines
from collector.settings import Settings
from verifier.settle.lease import database_now_us


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
            if connection.dialect.name == "postgresql":
                limit_ms = round(self.settings.api.statement_timeout_s * 1000)
                connection.execute(text(f"SET LOCAL statement_timeout = {limit_ms}"))
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at its end."""
        with writing(self.engine) as connection:
            yield connection


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def _snapshot(services: Annotated[Services, Depends(_services)]) -> Iterator[Connection]:
    with services.reading() as connection:
        yield connection


ServicesDep = Annotated[Services, Depends(_services)]
Snapshot = Annotated[Connection, Depends(_snapshot)]
__all__: Final = ["Services", "ServicesDep", "Snapshot"]
