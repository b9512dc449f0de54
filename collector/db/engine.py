"""Opens the database, the same way for every part of the product.

Two databases are supported. SQLite has one writer at a time: writers begin IMMEDIATE, so that
they wait for their turn instead of failing when they upgrade a read lock. PostgreSQL is spoken
to with psycopg 3.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from collector.errors import DatabaseAway, Locked, MirrorproofError, UsageError

_WRITE: Final = "mirrorproof_write"
_BUSY_TIMEOUT_MS: Final = 30_000
"""How long a SQLite writer waits for the one before it; batches take milliseconds."""
_CONNECT_TIMEOUT_S: Final = 10
_LOCKED: Final = "55P03"
"""SQLSTATE of a wait for a lock that was given up."""
_READ_ONLY: Final = "25006"
"""SQLSTATE of a standby, or of a primary that was replaced: another connection may do better."""
_DRIVERS: Final = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
# SQLSTATE classes and messages that trying again does not mend.
_WRONG_SETTING: Final = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "file is not a database",
    "unable to open database file",
    "readonly database",
)


def describe(url: URL) -> str:
    """A database URL for people: where, and nothing that could be a secret."""
    if url.drivername.startswith("sqlite"):
        return f"sqlite:///{url.database or ':memory:'}"
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{url.host or 'local socket'}{port}/{url.database or ''}"


def open_engine(
    database_url: str, *, pool_size: int = 5, patience_s: float | None = None
) -> Engine:
    """An engine for a database URL; nothing is connected yet.

    Args:
        database_url: `sqlite:///FILE`, `postgresql://…` or `postgresql+psycopg://…`.
        pool_size: Connections that are kept open.
        patience_s: How long a statement may wait for a lock on PostgreSQL, and how long the
            server keeps a transaction in which we fell silent; None: for ever.

    Raises:
        UsageError: The URL cannot be read, or its driver is not installed.
    """
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise UsageError(
            "database_url is no database URL; write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None  # SQLAlchemy's own message quotes the URL with its password
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise UsageError(
            f"database_url: unknown scheme {url.drivername!r}; known: sqlite, postgresql"
        )
    url = url.set(drivername=driver)
    if driver == "sqlite":
        return _open_sqlite(url)
    return _open_postgresql(url, pool_size, patience_s)


def _open_sqlite(url: URL) -> Engine:
    if not url.database or ":memory:" in url.database or url.query.get("mode") == "memory":
        # Gone with the process, and another one for each connection.
        raise UsageError("database_url names no file: write sqlite:///FILE")
    # Of all folders, this one can be written to for sure.
    os.environ.setdefault("SQLITE_TMPDIR", str(Path(url.database).absolute().parent))
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # We begin transactions ourselves: the driver's implicit BEGIN is never IMMEDIATE.
    connection.isolation_level = None
    with _closing_on_error(connection):
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            # Power loss may undo the last transactions, whole ones: rows and position together.
            "synchronous = NORMAL",
            "cache_size = -65536",
            # Sorting in pieces that fit into the processor's caches takes less time than sorting
            # all at once in memory, which is what MEMORY stands for.
            "temp_store = FILE",
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _open_postgresql(url: URL, pool_size: int, patience_s: float | None) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": "mirrorproof",
        # A server that vanished without a word is noticed within half a minute.
        "keepalives_idle": 15,
        "tcp_user_timeout": 30_000,
    }
    try:
        engine = create_engine(
            url,
            pool_size=pool_size,
            pool_pre_ping=True,
            connect_args={k: v for k, v in arguments.items() if k not in url.query},
        )
    except ModuleNotFoundError as error:
        raise UsageError(
            "database_url: PostgreSQL needs its driver; install mirrorproof[postgres]"
        ) from error
    event.listen(engine, "handle_error", _drop_read_only)
    if patience_s is not None:
        limit = f"{round(patience_s * 1000)}ms"
        event.listen(engine, "connect", lambda raw, _record: _limit_waiting(raw, limit))
    return engine


def _drop_read_only(context: ExceptionContext) -> None:
    """After a failover all connections to the former primary are useless, though healthy."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _limit_waiting(raw: Any, limit: str) -> None:
    # Not as options of the connection: poolers refuse those.
    limits = {
        "lock_timeout": limit,
        # Of a process that was frozen in a transaction, which keeps rows locked.
        "idle_in_transaction_session_timeout": limit,
        # The same of a machine that vanished: else the server waits for two hours.
        "tcp_keepalives_idle": "15",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
    with _closing_on_error(raw):
        for name, value in limits.items():
            raw.execute("SELECT set_config(%s, %s, false)", (name, value))
        raw.commit()


@contextmanager
def _closing_on_error(raw: Any) -> Iterator[None]:
    """A connection that is not in a pool yet is closed by nobody else."""
    try:
        yield
    except BaseException:
        raw.close()
        raise


@contextmanager
def disposing(engine: Engine) -> Iterator[Engine]:
    """Closes the connections of an engine at the end of the block, also after an error."""
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def disposing_on_error(engine: Engine) -> Iterator[Engine]:
    """The same after an error only: else the engine is somebody's who goes on with it."""
    try:
        yield engine
    except BaseException:
        engine.dispose()
        raise


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back on any exception."""
    with engine.connect() as connection:
        connection = connection.execution_options(**{_WRITE: True})
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent snapshot of the whole database, for reading only."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            yield connection


_BY_INDEX: Final = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}


@contextmanager
def by_index(connection: Connection) -> Iterator[None]:
    """Has PostgreSQL take an index wherever there is one, up to the end of the block.

    It does not know how little a BRIN filter of random values lets through, and would rather read
    all of a table, start workers, or hash all of another one for a join of three rows. To be used
    within a transaction.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.exec_driver_sql(_set_local(_BY_INDEX))
    yield
    # Not after an error: the settings end with the transaction then.
    connection.exec_driver_sql(_set_local(dict.fromkeys(_BY_INDEX, "DEFAULT")))


def _set_local(settings: Mapping[str, str]) -> str:
    return "; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items())


@contextmanager
def driver_errors(connection: Connection) -> Iterator[None]:
    """Around the use of the driver itself: its errors become SQLAlchemy's, as everywhere else."""
    dialect = connection.dialect
    kinds: Any = dialect.loaded_dbapi
    try:
        yield
    except kinds.Error as error:
        lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, kinds.Error, connection_invalidated=lost, dialect=dialect
        ) from error


def as_our_error(error: SQLAlchemyError, url: URL) -> MirrorproofError:
    """A database error in one line, without password, SQL or parameters.

    Returns:
        `UsageError` when only a change of settings helps, else `DatabaseAway`.
    """
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    message = f"database {describe(url)}: {lines[0] if lines else type(cause).__name__}"
    if any(text in str(cause).lower() for text in _WRONG_SETTING):
        return UsageError(message)
    locked = getattr(cause, "sqlstate", None) == _LOCKED
    return Locked(message) if locked else DatabaseAway(message)


def check_connection(engine: Engine) -> None:
    """Connects once.

    Raises:
        UsageError: Wrong password, unknown database, no such folder.
        Retryable: The server does not answer.
    """
    try:
        with engine.connect():
            pass
    except SQLAlchemyError as error:
        raise as_our_error(error, engine.url) from error
