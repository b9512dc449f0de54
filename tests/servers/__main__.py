"""Runs a command while Apache Kafka and a PostgreSQL server of its own run.

`python -m tests.servers COMMAND…` starts both, names them to the command by the variables
of `tests.servers.given`, stops them, and ends with the command's exit status.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.servers.apache import apache_kafka
from tests.servers.given import kafka_variables
from tests.servers.postgres import wheel_postgres
from tests.servers.process import ServerError


def main(command: list[str]) -> int:
    """Runs the command; returns its exit status, 2 when a server or the command is missing."""
    if not command:
        print("usage: python -m tests.servers COMMAND…", file=sys.stderr)  # noqa: T201
        return 2
    # An end from outside unwinds, too: the servers stop and their folders go.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    started = time.monotonic()
    try:
        with apache_kafka() as kafka, wheel_postgres() as postgres:
            took_s = time.monotonic() - started
            print(f"{kafka.kind} and {postgres.kind} answer after {took_s:.1f} s", flush=True)  # noqa: T201
            variables = {**kafka_variables(kafka), "MIRRORPROOF_TEST_POSTGRES": postgres.url}
            return subprocess.call(command, env={**os.environ, **variables})
    except ServerError as error:
        print(f"servers for the tests: {error}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
