"""API keys: made, listed, revoked, and recognised. Only their digests are stored."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, insert, or_, select, update

from collector.errors import UsageError
from verifier.api.scopes import Scope
from verifier.api.tables import api_key

_MARK: Final = "mp_"
_PREFIX_BYTES: Final = 6
_SECRET_BYTES: Final = 32
MAX_LENGTH: Final = 100
"""Characters of a key that are looked at; ours are shorter."""


class Key(msgspec.Struct, frozen=True):
    """A key as it is stored. Times in µs since the epoch; None: never."""

    id: int
    name: str
    prefix: str
    scopes: frozenset[Scope]
    created_us: int
    expires_us: int | None
    revoked_us: int | None

    def is_valid(self, now_us: int) -> bool:
        """Whether it opens anything at a time."""
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


def create(
    connection: Connection, name: str, scopes: set[Scope], now_us: int, expires_us: int | None
) -> tuple[str, Key]:
    """Makes a key.

    Args:
        connection: In a write transaction.
        name: For people.
        scopes: What it opens.
        now_us: The database's clock.
        expires_us: When it ends; None: never.

    Returns:
        The key, which is shown this once and not stored, and its row.
    """
    prefix = _MARK + secrets.token_hex(_PREFIX_BYTES)
    whole = f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    done = connection.execute(
        insert(api_key)
        .values(
            name=name,
            prefix=prefix,
            digest=_digest(whole),
            scopes=",".join(sorted(scopes)),
            created_us=now_us,
            expires_us=expires_us,
        )
        .returning(*_COLUMNS)
    )
    return whole, _key(done.one())


def all_keys(connection: Connection) -> list[Key]:
    """All keys, the oldest first."""
    return [_key(row) for row in connection.execute(select(*_COLUMNS).order_by(api_key.c.id))]


def revoke(connection: Connection, prefix: str, now_us: int) -> None:
    """Ends a key.

    Raises:
        UsageError: There is no valid key with that prefix.
    """
    c = api_key.c
    done = connection.execute(
        update(api_key).where(c.prefix == prefix, c.revoked_us.is_(None)).values(revoked_us=now_us)
    )
    if done.rowcount != 1:
        raise UsageError(f"no key {prefix!r} that is not revoked; `mirrorproof key list` has all")


def find(connection: Connection, whole: str, now_us: int) -> Key | None:
    """The key that a caller shows; None: it is none of ours, or not valid."""
    prefix = "_".join(whole[:MAX_LENGTH].split("_")[:2])
    query = select(*_COLUMNS, api_key.c.digest).where(api_key.c.prefix == prefix)
    row = connection.execute(query).one_or_none()
    stored = bytes(32) if row is None else bytes(row.digest)
    is_right = hmac.compare_digest(stored, _digest(whole))
    if row is None or not is_right:
        return None
    found = _key(row)
    return found if found.is_valid(now_us) else None


def of_prefix(connection: Connection, prefix: str, now_us: int) -> Key | None:
    """The valid key with a public beginning; None: there is none, or no longer."""
    query = select(*_COLUMNS).where(api_key.c.prefix == prefix)
    row = connection.execute(query).one_or_none()
    found = None if row is None else _key(row)
    return found if found is not None and found.is_valid(now_us) else None


def any_valid(connection: Connection, now_us: int) -> bool:
    """Whether there is any key that opens something."""
    c = api_key.c
    valid = (c.revoked_us.is_(None), or_(c.expires_us.is_(None), c.expires_us > now_us))
    return bool(connection.scalar(select(func.count()).select_from(api_key).where(*valid)))


_COLUMNS: Final = tuple(column for column in api_key.c if column.name != "digest")


def _digest(whole: str) -> bytes:
    return sha256(whole.encode("utf-8", "replace")).digest()


def _key(row: Any) -> Key:
    scopes = frozenset(Scope(scope) for scope in row.scopes.split(",") if scope)
    return Key(row.id, row.name, row.prefix, scopes, row.created_us, row.expires_us, row.revoked_us)
