"""Databases of the tests' own, made and removed at little cost."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any, Self

import psycopg
from sqlalchemy import URL, Dialect, Engine, create_engine, event
from sqlalchemy.util import LRUCache

from collector.db import engine as opening

_CACHED_STATEMENTS = 5_000
_known: dict[str, tuple[Dialect, LRUCache[Any, Any]]] = {}


class Databases:
    """Databases of a PostgreSQL server, over one connection to its maintenance database."""

    def __init__(self, server: URL) -> None:
        self._server = server

    def __enter__(self) -> Self:
        address = self._server.set(drivername="postgresql")
        self._connection = psycopg.connect(
            address.render_as_string(hide_password=False), autocommit=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def new(self, template: str = "template1") -> Iterator[str]:
        """The URL of a new database, which is dropped with whoever is still connected."""
        name = f"test_{uuid.uuid4().hex[:16]}"
        # Copying files takes half of what writing them to the log does, where they are in memory.
        self._connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield self._server.set(database=name).render_as_string(hide_password=False)
        finally:
            self._connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def share_statements() -> None:
    """Has all engines of this process that the product opens compile each statement once.

    Each engine compiles for itself; with an engine for each test that would be most of the time.
    """
    opening.create_engine = _create_engine


def _create_engine(url: URL, **options: Any) -> Engine:
    engine = create_engine(url, **options)
    if engine.driver not in _known:
        # Only what has connected once knows what its server can.
        event.listen(engine, "connect", lambda *_: _remember(engine), once=True)
    else:
        engine.dialect, compiled = _known[engine.driver]
        engine.update_execution_options(compiled_cache=compiled)
    return engine


def _remember(engine: Engine) -> None:
    _known.setdefault(engine.driver, (engine.dialect, LRUCache(_CACHED_STATEMENTS)))
