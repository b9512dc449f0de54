"""The tables of the API, on the one MetaData of the product; conventions as in its other tables."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text, UniqueConstraint

from collector.db.tables import BIG_ID, metadata

api_key: Final = Table(
    "api_key",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("name", Text, nullable=False, comment="for people"),
    Column("prefix", Text, nullable=False, comment="public beginning, by which it is found"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the whole key"),
    Column("scopes", Text, nullable=False, comment="comma separated"),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, comment="null: never"),
    Column("revoked_us", BigInteger, comment="null: it is valid"),
    UniqueConstraint("prefix"),
    sqlite_autoincrement=True,
)
