"""The secret that keys request keys: made once, kept in the database, shared by all replicas."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from collector.db.engine import as_our_error, writing
from collector.db.tables import setting

_KEY: Final = "request_key_secret"
_BYTES: Final = 32


def request_key_secret(engine: Engine) -> bytes:
    """The secret; made when there is none yet.

    Raises:
        UsageError, Retryable: The database cannot be used.
    """
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    new = {"key": _KEY, "value": secrets.token_hex(_BYTES)}
    try:
        with writing(engine) as connection:
            # Replicas that start together: the first one's secret stays.
            connection.execute(dialect.insert(setting).values(new).on_conflict_do_nothing())
            found = connection.scalars(select(setting.c.value).where(setting.c.key == _KEY)).one()
    except SQLAlchemyError as error:
        raise as_our_error(error, engine.url) from error
    return bytes.fromhex(found)
