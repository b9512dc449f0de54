"""What is measured, how, and how it is printed.

Machines are noisy: everything runs several times, the least is what the work takes, the median
what this machine gave today. Processor time counts all threads of the process, and no server.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

TARGETS: Final = {
    "parse: text": 300_000,
    "envelope: Fluent Bit, text": 200_000,
    "write: PostgreSQL": 150_000,
    "collector: kafka-python, PostgreSQL": 45_000,
    "collector: confluent, PostgreSQL": 100_000,
    "settle: PostgreSQL, backlog": 500_000,
    "settle: SQLite, backlog": 150_000,
}
"""Lines a second and process that each of them should reach."""


class Options(msgspec.Struct, frozen=True):
    """What the command line says.

    Attributes:
        lines: Of the whole collector's backlog and of the clients'; the other subjects take
            as many as they need.
        runs: How often each figure is taken.
        rows: Of the history beside which is settled.
        keep: Where histories are kept; None: they are made anew.
        databases: Which ones take part.
    """

    lines: int
    runs: int
    rows: int = 1_000_000
    keep: Path | None = None
    databases: tuple[str, ...] = ("PostgreSQL", "SQLite")


class Run(msgspec.Struct, frozen=True):
    """One run: how long it took, and the processor time of the process, in seconds."""

    wall_s: float
    cpu_s: float
    rss_mb: float | None = None


class Figure(msgspec.Struct, frozen=True):
    """One line of the report.

    Attributes:
        name: Subject and what of it, `parse: text`; `TARGETS` knows some of them.
        lines: How many lines (or rows) each run took.
        runs: All of them.
        note: What else a reader should know.
        bytes_each: Bytes of disk that a line takes; None: that is not what was measured.
    """

    name: str
    lines: int
    runs: tuple[Run, ...]
    note: str = ""
    bytes_each: float | None = None

    def rates(self) -> tuple[float, float]:
        """Lines a second by the clock on the wall: median and best."""
        walls = [run.wall_s for run in self.runs]
        return self.lines / statistics.median(walls), self.lines / min(walls)

    def cpu_us(self) -> tuple[float, float]:
        """Processor time of a line, in µs: median and least."""
        each = [run.cpu_s / self.lines * 1e6 for run in self.runs]
        return statistics.median(each), min(each)

    def as_json(self) -> dict[str, Any]:
        """The figure for machines."""
        rate, best = self.rates()
        cpu, least = self.cpu_us()
        sizes = [run.rss_mb for run in self.runs if run.rss_mb is not None]
        return {
            "name": self.name,
            "lines": self.lines,
            "runs": len(self.runs),
            "lines_per_s": {"median": round(rate), "best": round(best)},
            "cpu_us_per_line": {"median": round(cpu, 2), "least": round(least, 2)},
            "rss_mb": max(sizes, default=None),
            "target_lines_per_s": TARGETS.get(self.name),
            "bytes_per_line": None if self.bytes_each is None else round(self.bytes_each, 1),
            "note": self.note,
        }


def measure(name: str, lines: int, runs: int, work: Callable[[], object], note: str = "") -> Figure:
    """Takes one figure within this process, after one run that fills caches."""
    work()
    return Figure(name, lines, tuple(_run(work) for _ in range(runs)), note)


def _run(work: Callable[[], object]) -> Run:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Run(time.perf_counter() - wall_s, time.process_time() - cpu_s)


HEADER: Final = (
    f"{'':38} {'lines/s':>10} {'best':>10} {'CPU µs/line':>12} {'least':>7} "
    f"{'target':>9} {'best/target':>12}"
)


def table_row(figure: Figure) -> str:
    """The figure for people."""
    (rate, best), (cpu, least) = figure.rates(), figure.cpu_us()
    target = TARGETS.get(figure.name)
    beside = f"{target:9,} {best / target:12.2f}" if target else ""
    sizes = [run.rss_mb for run in figure.runs if run.rss_mb is not None]
    note = "; ".join(
        part for part in (f"{max(sizes):.0f} MB RSS" if sizes else "", figure.note) if part
    )
    row = f"{figure.name:38} {rate:10,.0f} {best:10,.0f} {cpu:12.2f} {least:7.2f} {beside}"
    return f"{row}  {note}".rstrip()


def most_rss_mb() -> float:
    """The most memory that this program ever had; getrusage counts what forked it, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024
