"""`python -m tests.shipping [--rows] [--only PATTERN] [--recordings clean,…]`."""

from __future__ import annotations

import argparse
import re
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
from tests.recordings import SCENARIOS
from tests.shipping.compare import Outcome
from tests.shipping.run import CASES, Case, by_check, live
from tests.shipping.summary import ROW_HEAD, SUM_HEAD, Sums, row


def main() -> int:
    """Runs all cases; 1: something was said that is not true, or not by both forms."""
    parser = argparse.ArgumentParser(prog="python -m tests.shipping")
    parser.add_argument("--only", default="", help="faults whose names fit this pattern")
    parser.add_argument("--recordings", default=",".join(SCENARIOS))
    parser.add_argument("--rows", action="store_true", help="a row for each recording, too")
    options = parser.parse_args()
    configure("error")
    if options.rows:
        _say(ROW_HEAD)
    recordings = options.recordings.split(",")
    sums: dict[tuple[str, str], Sums] = {}
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        template = Path(name) / "template.db"
        with _opened(template) as engine:
            upgrade(engine)
        for case in CASES:
            for recording in recordings if re.search(options.only, case.name) else ():
                told = dict(_outcomes(case, recording, Path(name)))
                for form, found in told.items():
                    sums.setdefault((case.name, form), Sums(case.name, form)).add(found)
                    if options.rows:
                        _say(row(case.name, recording, form, found))
                wrong += _wrongs(case, recording, told)
    _say("\n".join([SUM_HEAD, *(one.row() for one in sums.values())]))
    _say("\n".join(["", *wrong]) if wrong else "\nnothing false, `check` and live alike")
    return 1 if wrong else 0


def _outcomes(case: Case, recording: str, folder: Path) -> Iterator[tuple[str, Outcome]]:
    """What each form of the product says."""
    database = folder / "run.db"
    shutil.copy(folder / "template.db", database)
    with _opened(database) as engine:
        yield "live", live(case, recording, engine)
    database.unlink()
    if case.by_files:
        logs = folder / "logs"
        logs.mkdir()
        yield "check", by_check(case, recording, logs)
        shutil.rmtree(logs)


def _wrongs(case: Case, recording: str, told: dict[str, Outcome]) -> list[str]:
    """What is wrong of it, in words."""
    where = f"{case.name}, {recording}"
    found = [
        f"{where}, {form}: {one.false_missing} false missing, {one.false_matched} false matched,"
        f" {one.unexplained} without a reason"
        for form, one in told.items()
        if one.wrong
    ]
    if "check" in told and not told["live"].agrees(told["check"]):
        found.append(f"{where}: live says otherwise than check: {told['live']}, {told['check']}")
    return found


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def _opened(path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{path}")
    try:
        yield engine
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
