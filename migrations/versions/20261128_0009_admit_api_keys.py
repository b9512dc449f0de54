"""Keys of the query API, and what was erased at somebody's request.

Revision: 0009. Expands only: programs of 0008 run on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates both tables."""
    op.create_table(
        "api_key",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="for people"),
        sa.Column(
            "prefix", sa.Text(), nullable=False, comment="public beginning, by which it is found"
        ),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the whole key"),
        sa.Column("scopes", sa.Text(), nullable=False, comment="comma separated"),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True, comment="null: never"),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True, comment="null: it is valid"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_key_prefix")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "erasure",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("window_start_us", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column(
            "findings", sa.Integer(), nullable=False, comment="how many of it were erased then"
        ),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_erasure_policy_window_start_us", "erasure", ["policy", "window_start_us"], unique=False
    )


def downgrade() -> None:
    """Drops them: keys open nothing any more, and erased windows look changed."""
    op.drop_index("ix_erasure_policy_window_start_us", table_name="erasure")
    op.drop_table("erasure")
    op.drop_table("api_key")
