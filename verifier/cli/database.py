"""A database that is there already, for the commands that only look into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from collector.errors import UsageError
from verifier.cli.collect import database_override, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from collector.settings import Settings


@contextmanager
def existing_database(database_url: str | None, config: Path | None) -> Iterator[Engine]:
    """As `existing`, by a command's options."""
    settings = load_settings(config, {"database": database_override(database_url)})
    with existing(settings) as engine:
        yield engine


@contextmanager
def existing(settings: Settings) -> Iterator[Engine]:
    """The database of the settings, reachable and migrated.

    Raises:
        UsageError: It is not there, or has another schema; looking into one must not make it.
        Retryable: It cannot be reached, or went away.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from collector.db.engine import as_our_error, check_connection, open_engine
    from collector.db.migrate import require_schema

    engine = open_engine(settings.database.address())
    try:
        if engine.url.get_backend_name() == "sqlite" and not _is_file(engine.url.database):
            msg = f"database {engine.url.database}: no such file; give --database-url"
            raise UsageError(msg)
        check_connection(engine)
        require_schema(engine)
        yield engine
    except SQLAlchemyError as error:
        raise as_our_error(error, engine.url) from error
    finally:
        engine.dispose()


def _is_file(name: str | None) -> bool:
    return Path(name or "").is_file()
