"""Databases with a long history, made once, and kept in a folder for the next time.

What is made is named only when it is whole: what was broken off is made anew. On a disk, as 50
million lines are larger than the memory of many machines; their server runs from the folder, too,
but for one that the environment names.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, create_engine, make_url, text

from collector.db.engine import open_engine
from collector.db.migrate import upgrade
from tests.servers.choice import Source, choose_postgres, start_postgres
from tests.servers.postgres import Cluster

Make = Callable[[Engine], None]


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    """The folder that is kept, or one that is gone at the end."""
    if keep is None:
        with TemporaryDirectory(prefix="mirrorproof-bench-") as name:
            yield Path(name)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep


@contextmanager
def kept(kind: str, folder: Path, rows: int, make: Make) -> Iterator[str]:
    """The URL of a database with a history of so many lines; made where it is not there.

    Args:
        kind: `PostgreSQL` or `SQLite`.
        folder: Where it is kept.
        rows: How many lines.
        make: Fills an empty database with the newest schema.
    """
    name = f"history_{rows}"
    if kind == "SQLite":
        path = folder / f"{name}.db"
        if not path.exists():
            making = folder / f"{name}.making"
            for old in folder.glob(f"{making.name}*"):
                old.unlink()
            _make(kind, rows, f"sqlite:///{making}", make)
            making.rename(path)
        yield _newest(f"sqlite:///{path}")
        return
    with _server(folder) as url:
        here = make_url(url).set(database=name).render_as_string(hide_password=False)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            query = text("SELECT count(*) FROM pg_database WHERE datname = :name")
            if not connection.scalar(query, {"name": name}):
                making = f"{name}_making"
                connection.execute(text(f"DROP DATABASE IF EXISTS {making} WITH (FORCE)"))
                connection.execute(text(f"CREATE DATABASE {making}"))
                _make(kind, rows, here + "_making", make)
                connection.execute(text(f"ALTER DATABASE {making} RENAME TO {name}"))
            yield _newest(here)
            connection.execute(text("CHECKPOINT"))  # it ends at once, and must not recover long
        engine.dispose()


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """The URL of the server that the environment names, else of one that lives in the folder."""
    if choose_postgres(os.environ, lambda _image: False) is Source.GIVEN:
        with start_postgres(os.environ) as server:
            yield server.url
        return
    home = folder / "postgres"
    home.mkdir(exist_ok=True)
    folder.chmod(folder.stat().st_mode | 0o111)  # the server runs as somebody else than root
    cluster = Cluster.create(home)
    with cluster.running():
        yield f"postgresql+psycopg://postgres@127.0.0.1:{cluster.port}/postgres"


def _make(kind: str, rows: int, url: str, make: Make) -> None:
    began_s = time.monotonic()
    tell(f"{kind}: making a history of {rows:,} lines")
    engine = open_engine(_newest(url))
    make(engine)
    engine.dispose()
    tell(f"{kind}: made in {time.monotonic() - began_s:.0f} s")


def _newest(url: str) -> str:
    """The URL of a database, once it has the newest schema."""
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


def tell(what: str) -> None:
    """Says on standard error how far it is."""
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()
