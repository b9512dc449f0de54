"""The demo's database: one that is its own, wherever it is, and that leaves nothing behind.

In a PostgreSQL database the demo lives in a schema of its own, so that it cannot meet the tables
of a mirrorproof that works there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from collector.db.engine import as_our_error, describe, open_engine
from collector.errors import UsageError

FILE_NAME: Final = "mirrorproof.db"


@contextmanager
def demo_database(database_url: str | None, folder: Path, *, keep: bool) -> Iterator[str]:
    """Gives the URL of an empty database.

    Args:
        database_url: Where the user wants it; None: a SQLite file in `folder`.
        folder: The demo's folder.
        keep: Whether a schema in PostgreSQL stays when the demo ends.

    Raises:
        UsageError: The URL is wrong, or names a SQLite file that exists.
        Retryable: The server does not answer.
    """
    if database_url is None:
        yield f"sqlite:///{folder / FILE_NAME}"
        return
    engine = open_engine(database_url)
    try:
        if engine.dialect.name == "sqlite":
            _refuse_existing(engine.url)
            yield database_url
        else:
            with _own_schema(engine, keep=keep) as schema:
                yield _inside(make_url(database_url), schema)
    finally:
        engine.dispose()


def _refuse_existing(url: URL) -> None:
    if url.database and Path(url.database).exists():
        message = f"{describe(url)} exists; name a new file for the demo"
        raise UsageError(message)


def _inside(url: URL, schema: str) -> str:
    """The URL whose sessions create and find tables in the schema."""
    given = url.query.get("options", "")
    before = given if isinstance(given, str) else " ".join(given)
    options = f"{before} -csearch_path={schema}".strip()
    return url.update_query_dict({"options": options}).render_as_string(hide_password=False)


@contextmanager
def _own_schema(engine: Engine, *, keep: bool) -> Iterator[str]:
    schema = f"mirrorproof_demo_{uuid.uuid4().hex[:8]}"
    _execute(engine, f'CREATE SCHEMA "{schema}"')
    try:
        yield schema
    finally:
        if not keep:
            _execute(engine, f'DROP SCHEMA "{schema}" CASCADE')


def _execute(engine: Engine, statement: str) -> None:
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    except SQLAlchemyError as error:
        raise as_our_error(error, engine.url) from error
