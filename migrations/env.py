"""Runs the migrations over the connection that `collector.db.migrate` hands in.

PostgreSQL: one process at a time (advisory lock), one transaction for each migration, and
time-outs, so that a migration that cannot have its lock gives up instead of stopping the
collectors behind it. SQLite: everything in one write transaction.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from alembic import context
from sqlalchemy import Connection

from collector.db.tables import metadata

for _module in ("kept", "sign_tables"):
    import_module(f"collector.db.{_module}")  # have tables, too
if find_spec("verifier") and find_spec("verifier.tables"):
    for package in ("verifier", "verifier.alerts", "verifier.api", "verifier.incidents"):
        import_module(f"{package}.tables")  # their tables live on the same metadata

_LOCK_KEY: Final = 6_013_742_281
"""Names our advisory lock; any number that nobody else in this database uses."""
_WAIT_FOR_OTHERS: Final = "120s"
"""Another pod that migrates right now may take so long."""
_LOCK_TIMEOUT: Final = "4s"
"""Longest that our lock request may hold up the collectors queued behind it."""
_STATEMENT_TIMEOUT: Final = "60s"


def _migrate(connection: Connection, *, each_in_its_own: bool) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=each_in_its_own,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_server_default=True,
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
