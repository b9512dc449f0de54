"""The guard: a small process that cleans up when its owner is gone, however it went.

The demo starts servers and writes files. Should it be killed with no chance to tidy up, nobody
else would. So the guard holds the other end of a pipe: when the pipe closes, for whatever
reason, it ends every process of its group and removes the folder. An orderly end uses the same
path.

It is run as a file by a bare interpreter (`python -I -S guard.py FOLDER`), hence imports nothing
but the standard library.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from typing import Final

GRACE_S: Final = 0.3
"""What servers get to end by themselves: Envoy writes its last log lines."""


def main(folder: str) -> None:
    """Waits until standard input ends, then leaves no process of the group and no folder.

    Args:
        folder: Removed with all that is in it; empty: nothing is removed.
    """
    for quiet in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(quiet, signal.SIG_IGN)
    sys.stdin.buffer.read()
    if os.getpgrp() != os.getpid():
        return  # not the leader of a group of its own: others' processes would die
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
