"""Empty, migrated databases for the rounds, by the product's own command."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from tests.servers.choice import start_postgres


@contextlib.contextmanager
def database(kind: str, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """A database of one round, as a URL; gone at the end, but for a SQLite file.

    Args:
        kind: `sqlite` or `postgresql`.
        folder: Where the SQLite file is made.
        environment: Names or chooses the server, see `tests.servers.choice`.
    """
    if kind == "sqlite":
        url = f"sqlite:///{folder / 'mirrorproof.db'}"
        _migrate(url)
        yield url
        return
    with start_postgres(environment) as server:
        outer, name = make_url(server.url), f"campaign_{uuid.uuid4().hex[:12]}"
        _execute(outer, f'CREATE DATABASE "{name}"')
        try:
            url = outer.set(database=name).render_as_string(hide_password=False)
            _migrate(url)
            yield url
        finally:
            _execute(outer, f'DROP DATABASE "{name}" WITH (FORCE)')


def _migrate(url: str) -> None:
    program = Path(sys.executable).with_name("mirrorproof")
    subprocess.run([program, "migrate", "--database-url", url], check=True, capture_output=True)


def _execute(url: URL, statement: str) -> None:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement)
