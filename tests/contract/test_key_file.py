"""`mirrorproof key create --to FILE`: for set-ups that run again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.db.engine import open_engine, reading
from collector.errors import UsageError
from verifier.api import keys
from verifier.api.scopes import Scope
from verifier.cli.key import create_command

pytestmark = pytest.mark.integration


def _all(url: str) -> list[keys.Key]:
    engine = open_engine(url)
    with reading(engine) as connection:
        found = keys.all_keys(connection)
    engine.dispose()
    return found


def test_a_key_is_written_once(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """For the file's owner only; where it is valid already there is nothing to do."""
    file = tmp_path / "key"

    for _ in range(2):
        create_command("prometheus", to=file, database_url=migrated_sqlite_url)

    (made,) = _all(migrated_sqlite_url)
    assert file.read_text().startswith(f"{made.prefix}_")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_with_something_else_stays(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """A file without a valid key, or with too small a one, is refused; no key is made then."""
    file = tmp_path / "key"
    create_command("prometheus", to=file, database_url=migrated_sqlite_url)
    whole = file.read_text()

    with pytest.raises(UsageError, match="no valid key with these scopes; remove the file"):
        create_command("me", [Scope.ADMIN], to=file, database_url=migrated_sqlite_url)
    with pytest.raises(UsageError, match=r"cannot write .*: No such file"):
        create_command("me", to=tmp_path / "no" / "key", database_url=migrated_sqlite_url)

    assert file.read_text() == whole
    assert len(_all(migrated_sqlite_url)) == 1
