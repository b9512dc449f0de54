"""`python -m tests.shipping [--only WORDS] [--recordings clean,…]` prints MEASURED.md's table."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from collector.db.engine import open_engine
from collector.db.migrate import upgrade
from collector.log import configure
from tests.shipping.compare import Outcome
from tests.shipping.run import CASES, RECORDINGS, by_check, live


def main() -> int:
    """Runs all cases; 1: something was said that is not true."""
    parser = argparse.ArgumentParser(prog="python -m tests.shipping")
    parser.add_argument("--only", default="", help="cases whose names hold these words")
    parser.add_argument("--recordings", default=",".join(RECORDINGS))
    options = parser.parse_args()
    configure("error")
    wrong = 0
    _say("| on the way | recording | by | requests | matched | missing: true, false | false matched"
          " | unverifiable, and why |")  # fmt: skip
    _say("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = folder / "template.db"
        with _opened(template) as engine:
            upgrade(engine)
        for case in CASES:
            if options.only not in case.name:
                continue
            for recording in options.recordings.split(","):
                database = folder / "run.db"
                shutil.copy(template, database)
                with _opened(database) as engine:
                    outcome = live(case, recording, engine)
                database.unlink()
                wrong += _print(case.name, recording, "live", outcome)
                if case.by_files:
                    logs = folder / "logs"
                    logs.mkdir()
                    wrong += _print(case.name, recording, "check", by_check(case, recording, logs))
                    shutil.rmtree(logs)
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def _opened(path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{path}")
    try:
        yield engine
    finally:
        engine.dispose()


def _print(name: str, recording: str, form: str, found: Outcome) -> int:
    """Prints a row; how much of it is wrong."""
    why = ", ".join(f"{reason.partition(':')[0]}" for reason in sorted(found.reasons))
    doubt = f"{found.unverifiable}: {why}" if found.unverifiable else "0"
    lacking = f"{found.missing - found.false_missing} of {found.lost}, {found.false_missing}"
    _say(
        f"| {name} | {recording} | {form} | {found.requests} | {found.matched} | {lacking}"
        f" | {found.false_matched} | {doubt} |"
    )
    return found.false_missing + found.false_matched


if __name__ == "__main__":
    sys.exit(main())
