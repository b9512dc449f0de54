"""Measures, and prints lines/s and processor time beside the targets.

make bench                                     everything, about fifteen minutes
make bench ARGS="--only parse --only write"    some subjects
make bench ARGS="--only collector --lines 2000000 --runs 1 --json"
make bench ARGS="--only settle --rows 50M --keep /var/tmp/history"     45 GB of disk, made once
make bench ARGS="--only api --rows 50M --keep /var/tmp/history"        the same, asked over HTTP
make bench ARGS="--only storage"                bytes of a million lines, with indexes
python -m tests.servers make bench             on Apache Kafka
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from tests.bench import asking, check, collecting, parsing, settling, storing, writing
from tests.bench.figures import HEADER, Figure, Options, table_row

SUBJECTS: Final[dict[str, Callable[[Options], Iterator[Figure]]]] = {
    "parse": parsing.formats,
    "envelope": parsing.envelopes,
    "batch": parsing.batches,
    "write": writing.writes,
    "client": collecting.clients,
    "collector": collecting.collectors,
    "drain": collecting.drains,
    "check": check.checks,
    "settle": settling.settles,
    "api": asking.asks,
    "storage": storing.stores,
}


def _number(text: str) -> int:
    """`50M` as a number."""
    return round(float(text.removesuffix("M")) * (1e6 if text.endswith("M") else 1))


def main() -> None:
    """Runs the subjects one after the other."""
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="How fast the parts are, and the whole.",
        epilog='make bench ARGS="--only parse --only write --runs 9"',
    )
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="this subject; repeat it")
    parser.add_argument(
        "--lines", type=int, default=400_000, help="in the backlog and in the files for check"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each figure")
    parser.add_argument(
        "--rows", type=_number, default=1_000_000, help="of the settled history: 1M, 50M"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep histories there, and use what is there"
    )
    parser.add_argument(
        "--database", action="append", choices=("PostgreSQL", "SQLite"), help="this one; repeat it"
    )
    parser.add_argument("--json", action="store_true", help="print one object")
    given = parser.parse_args()
    options = Options(given.lines, given.runs, given.rows, given.keep)
    if given.database:
        options = msgspec.structs.replace(options, databases=tuple(given.database))
    figures = []
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {given.runs} runs"
    if not given.json:
        print(f"{machine}\n{HEADER}")  # noqa: T201
    for name in given.only or SUBJECTS:
        for figure in SUBJECTS[name](options):
            figures.append(figure.as_json())
            if not given.json:
                print(table_row(figure), flush=True)  # noqa: T201
    if given.json:
        print(json.dumps({"machine": machine, "figures": figures}))  # noqa: T201


if __name__ == "__main__":
    main()
