"""What most tests on real databases begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from collector.db.engine import open_engine


@pytest.fixture
def engine(migrated_database_url: str) -> Iterator[Engine]:
    """A migrated database."""
    found = open_engine(migrated_database_url)
    yield found
    found.dispose()
