"""What decides when a collector of the campaign is killed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.campaign.store import Store

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("open", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("done", flush=True)
sys.stdin.readline()
"""


def test_the_kernel_says_who_writes_to_sqlite(tmp_path: Path) -> None:
    """Only the process with the open write transaction is taken for the writer."""
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
    store = Store(f"sqlite:///{path}")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        assert store.is_writing("", process.pid)
        assert not store.is_writing("", os.getpid())
        assert store.is_opened_by(process.pid)
        assert not store.is_opened_by(os.getpid())
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        assert not store.is_writing("", process.pid)
        process.stdin.write("\n")
