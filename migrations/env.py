"""Runs the migrations over the connection that `collector.db.migrate` hands in.

PostgreSQL: one process at a time (advisory lock), one transaction for each migration, and
time-outs, so that a migration that cannot have its lock gives up instead of stopping the
collectors behind it. SQLite: everything in one write transaction.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.migrate import WORKS_FROM
from collector.db.tables import metadata, setting

for _module in ("kept", "sign_tables"):
    import_module(f"collector.db.{_module}")  # have tables, too
if find_spec("verifier") and find_spec("verifier.tables"):
    for package in ("", ".alerts", ".api", ".cluster", ".incidents"):
        import_module(f"verifier{package}.tables")  # their tables live on the same metadata

_LOCK_KEY: Final = 6_013_742_281
"""Names our advisory lock; any number that nobody else in this database uses."""
_WAIT_FOR_OTHERS: Final = "120s"
"""Another pod that migrates right now may take so long."""
_LOCK_TIMEOUT: Final = "4s"
"""Longest that our lock request may hold up the collectors queued behind it."""
_STATEMENT_TIMEOUT: Final = "60s"


_FIRST: Final = "0001"
"""So far programs of any revision work on the newest schema: nothing was ever taken away."""


def _note_works_from(*, ctx: Any, step: Any, **_: object) -> None:
    """Says in the transaction of each migration which programs work on the schema after it.

    A migration that takes away what older programs need has `works_from`, the revision of the
    first program that does without; the others expand, and change nothing about it.
    """
    if not step.is_upgrade:
        return
    given = getattr(step.up_revision.module, "works_from", None)
    dialect = postgresql if ctx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(setting).values(key=WORKS_FROM, value=given or _FIRST)
    ctx.connection.execute(
        statement.on_conflict_do_nothing()
        if given is None
        else statement.on_conflict_do_update(index_elements=["key"], set_={"value": given})
    )


def _migrate(connection: Connection, *, each_in_its_own: bool) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=each_in_its_own,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_server_default=True,
        on_version_apply=_note_works_from,
    )
    with context.begin_transaction():
        context.run_migrations()


def _migrate_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET lock_timeout = '{_WAIT_FOR_OTHERS}'")
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK_KEY})")
    connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    connection.exec_driver_sql(f"SET statement_timeout = '{_STATEMENT_TIMEOUT}'")
    connection.commit()  # the lock belongs to the session, not to the transaction
    _migrate(connection, each_in_its_own=True)


def _migrate_sqlite(connection: Connection) -> None:
    with connection.begin():
        _migrate(connection, each_in_its_own=False)


_connection = context.config.attributes["connection"]
if _connection.dialect.name == "postgresql":
    _migrate_postgresql(_connection)
else:
    _migrate_sqlite(_connection)
