"""Watches the loop from a thread of its own: what stands still for good is ended."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from collector.clock import Clock
from collector.log import get_logger
from collector.service.health import Health

_WATCH_EVERY_S: Final = 1.0
_SUSPENDED_S: Final = 10.0
_EXIT_HUNG: Final = 70
_DRAIN_S: Final = 8.0
"""Leaving in good order takes milliseconds; where a server is away it is not waited for longer."""


def watch(stop: Event, clock: Clock, health: Health, interrupt: Callable[[], object]) -> None:
    """Ends the process when its loop hangs: whoever restarts it does better than waiting.

    Args:
        stop: Ends the watch.
        clock: Where the time comes from.
        health: Of the loop.
        interrupt: Ends waits for the database; called once, half way to the end.
    """
    interrupted, looked_s = False, clock.monotonic()
    while not clock.wait(stop, _WATCH_EVERY_S):
        waited_s, looked_s = clock.monotonic() - looked_s, clock.monotonic()
        if waited_s > _SUSPENDED_S:
            # The whole process stood still, as in a machine that was paused: not the loop alone.
            health.beat()
        if health.is_hung():
            get_logger().error("collector_hung", silent_s=round(health.silent_s()))
            faulthandler.dump_traceback(sys.stderr, all_threads=True)
            os._exit(_EXIT_HUNG)
        if not health.is_slow():
            interrupted = False
        elif not interrupted:
            get_logger().warning("wait_interrupted", silent_s=round(health.silent_s()))
            interrupt()
            interrupted = True


def leave_in_time(stop: Event) -> None:
    """Ends the process a few seconds after `stop` is set, if it still runs then.

    Nothing is lost: whoever reads on begins at the database's offset. Only for processes that
    keep all they know in transactions.
    """

    def wait() -> None:
        stop.wait()
        time.sleep(_DRAIN_S)
        get_logger(component="watchdog").warning("left_in_haste", after_s=_DRAIN_S)
        os._exit(0)

    Thread(target=wait, name="leave-in-time", daemon=True).start()
