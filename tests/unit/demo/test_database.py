from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from collector.errors import UsageError
from verifier.demo.database import demo_database


def test_without_a_url_the_database_is_a_file_of_the_demo(tmp_path: Path) -> None:
    """It is removed with the demo's folder."""
    with demo_database(None, tmp_path, keep=False) as url:
        assert url == f"sqlite:///{tmp_path}/mirrorproof.db"


def test_a_file_of_the_user_must_be_new(tmp_path: Path) -> None:
    """The demo never writes into a database that holds something."""
    file = tmp_path / "mine.db"
    file.touch()

    with (
        pytest.raises(UsageError, match=r"mine\.db exists; name a new file"),
        demo_database(f"sqlite:///{file}", tmp_path, keep=False),
    ):
        pass


def test_a_new_file_of_the_user_is_taken(tmp_path: Path) -> None:
    """Its URL is used as it was given."""
    given = f"sqlite:///{tmp_path / 'new.db'}"

    with demo_database(given, tmp_path, keep=False) as url:
        assert url == given


def test_a_url_that_is_none_is_refused(tmp_path: Path) -> None:
    """One line says what a URL looks like."""
    with (
        pytest.raises(UsageError, match="is no database URL"),
        demo_database("nonsense", tmp_path, keep=False),
    ):
        pass


def test_the_schema_option_joins_the_options_of_the_url() -> None:
    """What the user's URL asks for stays."""
    from verifier.demo.database import _inside

    url = make_url("postgresql://me:secret@db/test?options=-cwork_mem%3D8MB")

    inside = make_url(_inside(url, "mirrorproof_demo_1"))

    assert inside.query["options"] == "-cwork_mem=8MB -csearch_path=mirrorproof_demo_1"
    assert inside.password == "secret"
