"""Opening databases, and what is said when that fails."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import make_url, text

from collector.db.engine import check_connection, disposing, open_engine, reading, writing
from collector.errors import DatabaseAway, MirrorproofError, UsageError

pytestmark = pytest.mark.integration


def said(url: str) -> MirrorproofError:
    """The error of a database that cannot be used."""
    with pytest.raises(MirrorproofError) as caught, disposing(open_engine(url)) as engine:
        check_connection(engine)
    return caught.value


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("nonsense hunter2", UsageError, "database_url is no database URL"),
        ("postgresql://u:hunter2@h:port/d", UsageError, "database_url is no database URL"),
        ("mysql://u:hunter2@h/d", UsageError, "unknown scheme 'mysql'"),
        ("sqlite:////no/such/folder/x.db", UsageError, "unable to open database file"),
        ("sqlite://", UsageError, "database_url names no file"),
        ("sqlite:///", UsageError, "database_url names no file"),
        ("sqlite:///:memory:", UsageError, "database_url names no file"),
        ("sqlite:///file:x?mode=memory&uri=true", UsageError, "database_url names no file"),
        ("postgresql://u:hunter2@127.0.0.1:1/d", DatabaseAway, "postgresql://127.0.0.1:1/d"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_in_one_line(
    url: str, kind: type[MirrorproofError], words: str
) -> None:
    """With what to do about it, and never with its password."""
    error = said(url)

    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)
    assert "hunter2" not in str(error)


def test_an_unknown_database_is_a_matter_of_settings(postgres_url: str) -> None:
    """Trying again would not make it exist."""
    url = make_url(postgres_url).set(database="nobody_made_this", password="hunter2")

    error = said(url.render_as_string(hide_password=False))

    assert isinstance(error, UsageError)
    assert "nobody_made_this" in str(error)
    assert "hunter2" not in str(error)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Nothing of it is overwritten."""
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes" * 100)

    assert "file is not a database" in str(said(f"sqlite:///{file}"))
    assert file.read_text().startswith("these are my notes")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_works(postgres_url: str, scheme: str) -> None:
    """Cloud consoles write all of them."""
    rest = postgres_url.partition("://")[2]

    engine = open_engine(f"{scheme}://{rest}")
    check_connection(engine)
    engine.dispose()


def test_writers_wait_for_each_other(migrated_database_url: str) -> None:
    """Two that read and then write at the same time both succeed, on SQLite too."""
    engine = open_engine(migrated_database_url)
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO setting VALUES ('n', '0')"))

    def count_up() -> None:
        for _ in range(20):
            with writing(engine) as connection:
                for_update = "" if engine.dialect.name == "sqlite" else " FOR UPDATE"
                query = f"SELECT value FROM setting WHERE key = 'n'{for_update}"
                value = int(connection.execute(text(query)).scalar_one())
                change = text("UPDATE setting SET value = :value WHERE key = 'n'")
                connection.execute(change, {"value": str(value + 1)})

    threads = [Thread(target=count_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    with reading(engine) as connection:
        assert (
            connection.execute(text("SELECT value FROM setting WHERE key = 'n'")).scalar_one()
            == "60"
        )
    engine.dispose()


def test_a_reader_sees_one_moment(migrated_database_url: str) -> None:
    """What is committed meanwhile is not seen before the next reading."""
    engine = open_engine(migrated_database_url)
    count = text("SELECT count(*) FROM setting WHERE key = 'a'")
    with reading(engine) as snapshot:
        assert snapshot.execute(count).scalar_one() == 0
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO setting VALUES ('a', 'b')"))
        assert snapshot.execute(count).scalar_one() == 0
    with reading(engine) as snapshot:
        assert snapshot.execute(count).scalar_one() == 1
    engine.dispose()
