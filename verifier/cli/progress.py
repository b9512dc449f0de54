"""How far long work is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer

_TELL_EVERY_S: Final = 5.0


@contextmanager
def progress(total: int, unit: str, doing: str, done: str) -> Iterator[Callable[[int], None]]:
    """Shows on standard error how far it is; none of what is done at once, where it is no terminal.

    Args:
        total: How many there are.
        unit: Of what: "windows".
        doing: What is done with them, for the bar: "settling again".
        done: What was done with them, for lines: "settled again".

    Yields:
        To be called with how many are done.
    """
    if not sys.stderr.isatty():
        yield _Lines(total, f"{unit} {done}", time.monotonic).show
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda number: bar.update(task, completed=number)


class _Lines:
    """Progress for logs: at most a line every few seconds, and none at the end."""

    def __init__(self, total: int, what: str, now_s: Callable[[], float]) -> None:
        self._total = total
        self._what = what
        self._now_s = now_s
        self._told_s = now_s()

    def show(self, number: int) -> None:
        """Says how far it is, when it is time."""
        if number < self._total and self._now_s() - self._told_s >= _TELL_EVERY_S:
            self._told_s = self._now_s()
            typer.echo(f"{number} of {self._total} {self._what}", err=True)
