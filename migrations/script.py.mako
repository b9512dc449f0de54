"""${message}.

Revision: ${up_revision}, after ${down_revision | comma,n}. Created ${create_date}.

Before you commit this file:
- Old and new code run at the same time during an upgrade: first expand (new nullable columns, new
  tables), deploy, then contract in a later release. Never change a merged migration. One that
  contracts has `works_from = "NNNN"`: the revision of the first program that works without what
  it takes away. `tests/integration/test_expand.py` checks what statements do.
- Both databases run this file. SQLite cannot alter columns: use `op.batch_alter_table`.
- On PostgreSQL a statement may wait 4 s for a lock and run 60 s (env.py). Make an index on a large
  table CONCURRENTLY, in `op.get_context().autocommit_block()`, with a time-out of its own, on one
  partition after the other.
- Add the change to the tables in Python too: a test compares both.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | None = ${repr(branch_labels)}
depends_on: str | None = ${repr(depends_on)}


def upgrade() -> None:
    """One sentence: what it does."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """One sentence: what is lost."""
    ${downgrades if downgrades else "pass"}
