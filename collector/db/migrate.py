"""Brings the schema up to date, and tells whether it is.

A newer schema is no reason to stop, as long as migrations only expanded it: while replicas are
upgraded one by one, or when an upgrade is rolled back, older programs run on it. The database says
from which revision on programs work on its schema (`WORKS_FROM`, written by env.py).
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError

import collector
from collector.db.engine import as_our_error, describe
from collector.db.tables import setting
from collector.errors import UsageError

WORKS_FROM: Final = "schema_works_from"
"""Key of the setting that holds the oldest revision whose programs work on the schema."""
_HEAD: Final = "head"
_ONE_AT_A_TIME: Final = Lock()
"""Alembic's `op` and `context` are global to the process; other processes wait in env.py."""


def migrations_folder() -> Path:
    """Where the migrations are: inside the installed package, or in the repository.

    Raises:
        UsageError: Neither has any: the installation is broken.
    """
    package = Path(collector.__file__).parent
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise UsageError(f"no migrations beside {package}; install mirrorproof again")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def head_revision() -> str:
    """The newest revision this program knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current_revision(engine: Engine) -> str | None:
    """The revision of the database, None when it was never migrated.

    Raises:
        UsageError, Retryable: The database cannot be read.
    """
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise as_our_error(error, engine.url) from error


def upgrade(engine: Engine, revision: str = _HEAD) -> str:
    """Migrates up to a revision and returns the one the database has then.

    A newer schema on which this program works stays as it is.

    Raises:
        UsageError, Retryable: The database cannot be reached or refuses.
    """
    config, current = _config(), current_revision(engine)
    if is_newer(engine, current):
        return current or ""
    with _ONE_AT_A_TIME:
        _upgrade(engine, config, revision)
    return current_revision(engine) or ""


def _upgrade(engine: Engine, config: Config, revision: str) -> None:
    try:
        if engine.dialect.name == "sqlite":
            # env.py begins on this connection; the option makes it a writer's transaction.
            with engine.connect() as plain:
                config.attributes["connection"] = plain.execution_options(mirrorproof_write=True)
                command.upgrade(config, revision)
        else:
            _upgrade_postgresql(engine, config, revision)
    except SQLAlchemyError as error:
        raise as_our_error(error, engine.url) from error


def _upgrade_postgresql(engine: Engine, config: Config, revision: str) -> None:
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        finally:
            # Closes the session for real: its advisory lock and time-outs end with it.
            connection.invalidate()


def downgrade(engine: Engine, revision: str) -> None:
    """Goes back to a revision (`base`: an empty database). For tests and emergencies."""
    config = _config()
    with engine.connect() as plain:
        config.attributes["connection"] = plain.execution_options(mirrorproof_write=True)
        command.downgrade(config, revision)
        if engine.dialect.name == "postgresql":
            plain.invalidate()


def is_newer(engine: Engine, current: str | None) -> bool:
    """Whether a revision is newer than this program, which works on it all the same.

    Raises:
        UsageError: It does not: a later migration took away what it needs, or nobody says.
    """
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is None or current in known:
        return False
    with engine.connect() as connection:
        works_from = _works_from(connection)
    if works_from not in known:
        needed = f" and needs a program of {works_from}" if works_from else ""
        raise UsageError(
            f"database {describe(engine.url)}: its schema {current} is newer than this program"
            f"{needed}; upgrade this program"
        )
    return True


def _works_from(connection: Connection) -> str | None:
    """The oldest revision whose programs work on the schema; None: nobody said."""
    if not inspect(connection).has_table(setting.name):
        return None
    return connection.scalar(select(setting.c.value).where(setting.c.key == WORKS_FROM))


def require_schema(engine: Engine) -> bool:
    """Makes sure that the schema is one this program works on; returns whether it is a newer one.

    Raises:
        UsageError: It is not migrated, or too new for this program.
    """
    current, head = current_revision(engine), head_revision()
    if current == head:
        return False
    if is_newer(engine, current):
        return True
    raise UsageError(
        f"database {describe(engine.url)}: schema not migrated "
        f"({current or 'empty'}, needs {head}); run `mirrorproof migrate`"
    )
