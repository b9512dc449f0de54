"""`mirrorproof` that kills itself with -9 right before or after one of its commits.

`python -m tests.campaign.failing WHEN WHICH NUMBER COMMAND…`; WHEN is `before` or `after`, WHICH
is `batch` (commits of transactions that wrote a batch) or `any` (claims, policies, questions of
lag too), NUMBER counts them from 1. The product has no part in it: SQLAlchemy's commit is wrapped.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

from verifier.cli import main


def die_at(when: str, which: str, number: int) -> None:
    """Wraps every commit of this process."""
    state = {"commits": 0, "batch": False}
    commit = DefaultDialect.do_commit

    def see(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        state["batch"] |= statement.startswith("INSERT INTO batch")

    def do_commit(dialect: Any, connection: Any) -> None:
        state["commits"] += which == "any" or state["batch"]
        state["batch"] = False
        is_it = state["commits"] == number
        if is_it and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(dialect, connection)  # type: ignore[no-untyped-call]
        if is_it and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", see)
    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]


if __name__ == "__main__":
    die_at(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    del sys.argv[1:4]
    main()
