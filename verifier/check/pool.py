"""The work of `check` on all cores: a function made once in each process, tasks in order."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from collector.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

_work: Callable[[Any], Any]  # what this worker process does with a task


def _prepare(make: Callable[[], Callable[[Any], Any]]) -> None:
    """Sets a worker process up."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    gc.disable()  # records form no cycles, so looking for them only costs time
    _work = make()


def _run(task: Any) -> Any:
    return _work(task)


def map_tasks(
    make: Callable[[], Callable[[Task], Result]], tasks: Iterable[Task], *, small: bool
) -> Iterator[Result]:
    """Results of tasks in their order, made here when there is little to do, else on all cores.

    Args:
        make: Makes what works on the tasks, once in each process. It is forked, never pickled.
        tasks: What to do; they and the results are pickled.
        small: Starting processes would take longer than the work.

    Raises:
        InputError: a worker process was killed, most likely for want of memory.
    """
    workers = 1 if small else os.cpu_count() or 1
    if workers == 1:
        yield from map(make(), tasks)
        return
    context = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(workers, context, _prepare, (make,)) as pool:
            yield from pool.map(_run, tasks)
    except BrokenProcessPool as error:
        msg = "a worker process was killed; is there enough memory? Try fewer files at a time"
        raise InputError(msg) from error
