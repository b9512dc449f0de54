"""Draws the demo: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from verifier.demo.comparison import REQUEST_VERDICTS, Comparison
from verifier.demo.view import View, WindowRow

_COLOURS: Final = {"proven": "green", "violated": "red", "not_proven": "yellow"}
_OTHERS: Final = ("unsampled", "exempt", "unverifiable", "ambiguous", "duplicate", "orphan")
_BAR_WIDTH: Final = 24
_REFRESH_PER_S: Final = 4


class Screen(Protocol):
    """Where the demo is shown."""

    def say(self, text: str) -> None:
        """Shows a line that stays."""
        ...

    def show(self, view: View) -> None:
        """Shows the present state in place of the last one."""
        ...

    def close(self) -> None:
        """Stops to show a changing state; `say` still works."""
        ...


def clock_time(time_us: int) -> str:
    """A moment as local clock time."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).astimezone().strftime("%H:%M:%S")


def request_count(verdicts: Mapping[str, int]) -> int:
    """How many requests verdicts speak of."""
    return sum(verdicts.get(name, 0) for name in REQUEST_VERDICTS)


def _others(verdicts: Mapping[str, int]) -> int:
    return sum(verdicts.get(name, 0) for name in _OTHERS)


def _figures(verdicts: Mapping[str, int]) -> list[int]:
    names = ("matched", "missing", "leak")
    return [request_count(verdicts), *(verdicts.get(name, 0) for name in names), _others(verdicts)]


def _lag(view: View) -> str:
    return "-" if view.lag_s is None else f"{view.lag_s:.1f} s"


class PlainScreen:
    """Lines of plain text: each phase and each settled window once, as it comes."""

    def __init__(self) -> None:
        self._console = Console(
            file=sys.stdout, force_terminal=False, no_color=True, highlight=False, soft_wrap=True
        )
        self._phase = ""
        self._shown_us = 0

    def say(self, text: str) -> None:
        """See `Screen`."""
        self._console.print(text, markup=False)
        self._console.file.flush()

    def show(self, view: View) -> None:
        """See `Screen`."""
        if view.phase != self._phase:
            self._phase = view.phase
            self.say(f"[{view.elapsed_s:5.1f} s] {view.phase}")
        for window in view.progress.windows:
            if window.start_us > self._shown_us:
                self._shown_us = window.start_us
                self._say_window(window, view)

    def _say_window(self, window: WindowRow, view: View) -> None:
        requests, matched, missing, leak, others = _figures(window.verdicts)
        statement = window.statement.replace("_", " ")
        self.say(
            f"[{view.elapsed_s:5.1f} s] window {clock_time(window.start_us)}: "
            f"requests {requests}, matched {matched}, missing {missing}, leak {leak}, "
            f"other {others}: {statement} (watermark lag {_lag(view)})"
        )

    def close(self) -> None:
        """See `Screen`."""


class LiveScreen:
    """A table that changes in place, and a progress line below it."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """See `Screen`."""
        self._console.print(text, markup=False)

    def show(self, view: View) -> None:
        """See `Screen`."""
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=_REFRESH_PER_S)
            self._live.start()
        self._live.update(Group(draw_windows(view), draw_progress(view)))

    def close(self) -> None:
        """See `Screen`."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def draw_windows(view: View) -> RenderableType:
    """The table of the newest windows, with the totals of all, and what really happened."""
    truth = view.truth
    caption = (
        f"The applications counted {truth.requests} requests, {truth.missing} not mirrored, "
        f"{truth.leaked} leaked."
    )
    table = Table(show_footer=True, title="What the verifier settled", title_justify="left")
    table.caption, table.caption_justify = caption, "left"
    totals = [str(figure) for figure in _figures(view.progress.verdicts)]
    table.add_column("Window", footer="all")
    names = ("Requests", "Matched", "Missing", "Leak", "Other")
    for name, total in zip(names, totals, strict=True):
        table.add_column(name, justify="right", footer=total)
    table.add_column("Statement")
    for window in view.progress.windows:
        requests, matched, missing, leak, others = _figures(window.verdicts)
        table.add_row(
            clock_time(window.start_us),
            str(requests),
            str(matched),
            _alarming(missing),
            _alarming(leak),
            str(others),
            Text(window.statement.replace("_", " "), _COLOURS.get(window.statement, "")),
        )
    return table


def draw_progress(view: View) -> RenderableType:
    """The progress line: phase, time, watermark lag."""
    position_s = view.elapsed_s % view.round_s if view.elapsed_s > view.round_s else view.elapsed_s
    bar = ProgressBar(total=view.round_s, completed=position_s, width=_BAR_WIDTH)
    line = Table.grid(padding=(0, 2))
    elapsed = f"{view.elapsed_s:.0f} s"
    line.add_row(bar, elapsed, Text(view.phase, "bold"), f"watermark lag {_lag(view)}")
    return line


def _alarming(figure: int) -> Text:
    return Text(str(figure), "bold red" if figure else "")


def draw_comparison(rows: Sequence[Comparison]) -> list[str]:
    """The comparison at the end, as lines of text that align."""
    lines = [f"{'':<28}{'applications':>14}{'verifier':>12}"]
    for row in rows:
        mark = "" if row.agrees else "   differs"
        lines.append(f"{row.what:<28}{row.counted:>14}{row.said:>12}{mark}")
    return lines


def open_screen() -> Screen:
    """The screen that fits: live on a terminal that can move its cursor, plain elsewhere."""
    console = Console()
    if sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal:
        return LiveScreen()
    return PlainScreen()
