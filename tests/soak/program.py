"""`python -m tests.soak.program CLOCK COMMAND…`: mirrorproof's command line on a settable clock.

All of the product asks `SystemClock` what time it is, and a verifier asks its database. Both are
replaced here, before anything else of the product is loaded: no release can be told a wrong time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from collector import clock
from tests.soak.clock import SettableClock


def main() -> None:
    """Runs a command on the clock of a file."""
    given = SettableClock(Path(sys.argv.pop(1)))
    clock.SystemClock = lambda: given  # type: ignore[assignment, misc]
    from verifier.settle import lease

    lease.database_now_us = lambda _connection: given.now_us()
    from verifier.cli import main as run

    run()


if __name__ == "__main__":
    main()
