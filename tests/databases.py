"""Databases of the tests' own, made and removed at little cost."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from sqlalchemy import URL, Dialect, Engine, create_engine, event
from sqlalchemy.util import LRUCache

from collector.db import engine as opening
from collector.db.engine import writing

_CACHED_STATEMENTS = 5_000
_ROOT: Final = f"{Path(__file__).parents[1]}/"
_NOT_OURS: Final = (f"{_ROOT}.venv/", f"{_ROOT}collector/db/engine.py")
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


def refuse(engine: Engine, code: int) -> None:
    """Has a database take no lines with this response code from now on."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            check = f"ALTER TABLE observation ADD CONSTRAINT picky CHECK (code <> {code})"
            connection.exec_driver_sql(check)
        else:
            connection.exec_driver_sql(
                f"CREATE TRIGGER picky BEFORE INSERT ON observation WHEN NEW.code = {code} "
                "BEGIN SELECT RAISE(ABORT, 'picky'); END"
            )


def share_statements() -> None:
    """Has all engines of this process that the product opens compile each statement once.

    Each engine compiles for itself; with an engine for each test that would be most of the time.
    """
    opening.create_engine = _create_engine


def _create_engine(url: URL, **options: Any) -> Engine:
    engine = create_engine(url, **options)
    connections.watch(engine)
    if engine.driver not in _known:
        # Only what has connected once knows what its server can.
        event.listen(engine, "connect", lambda *_: _remember(engine), once=True)
    else:
        engine.dialect, compiled = _known[engine.driver]
        engine.update_execution_options(compiled_cache=compiled)
    return engine


def _remember(engine: Engine) -> None:
    _known.setdefault(engine.driver, (engine.dialect, LRUCache(_CACHED_STATEMENTS)))


class OpenConnections:
    """The connections that engines of this process opened and did not close, and where.

    An engine that nobody disposes of keeps its connections until the garbage collector finds them,
    in some later test. So does one that is disposed of while a thread still uses a connection.
    """

    def __init__(self) -> None:
        self._engines = 0
        self._open: dict[int, tuple[Any, int, str]] = {}

    def watch(self, engine: Engine) -> None:
        """From now on, also after the engine is disposed of."""
        self._engines += 1
        number = self._engines

        def opened(connection: Any, _record: object) -> None:
            self._open[id(connection)] = connection, number, _place()

        event.listen(engine, "connect", opened)
        event.listen(engine, "close", lambda connection, _: self._open.pop(id(connection), None))

    def made(self) -> int:
        """How many engines there were so far."""
        return self._engines

    def close(self, since: int) -> list[str]:
        """Closes what is left of the engines made since then: no later test has to do with it.

        Returns:
            The lines that had it opened.
        """
        left = [key for key, (_, number, _) in list(self._open.items()) if number > since]
        places = set()
        for connection, _, place in map(self._open.pop, left):
            if _is_open(connection):
                places.add(place)
                with contextlib.suppress(sqlite3.Error):  # of a thread that is not ours
                    connection.close()
        return sorted(places)


def _is_open(connection: Any) -> bool:
    if not isinstance(connection, sqlite3.Connection):
        return not connection.closed
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False


def _place() -> str:
    """The line of ours that has an engine connect."""
    frame = sys._getframe(1)
    while frame := frame.f_back:
        name = frame.f_code.co_filename
        if name.startswith(_ROOT) and not name.startswith(_NOT_OURS):
            return f"{name.removeprefix(_ROOT)}:{frame.f_lineno}"
    return "an unknown place"


connections: Final = OpenConnections()
"""Of this process."""
