"""`python -m tests.incident_month`: prints the tables of MEASURED.md."""

from __future__ import annotations

import argparse
from statistics import median

from tests.incident_month.model import Traffic
from tests.incident_month.run import detection_s, months, simulate_answers
from tests.incident_month.ticks import detection as detection_by_ticks
from tests.incident_month.ticks import false_incidents
from verifier.incidents.event import Kind, NotifyReason
from verifier.incidents.kinds import SPECS

_ANSWERS_LESS = 3
"""Answers are drawn one by one: of a third of the days."""
_SHARES = (0.001, 0.01, 1.0)
DRIFTS = (
    (Kind.MISSING, 100.0),
    (Kind.LEAK, 100.0),
    (Kind.PERCENTAGE, 50.0),
    (Kind.STATUS_DIVERGENCE, 100.0),
    (Kind.LATENCY_DIVERGENCE, 100.0),
    (Kind.SIZE_DIVERGENCE, 100.0),
    (Kind.MIRROR_SILENT, 100.0),
    (Kind.EVIDENCE_HOLE, 100.0),
    (Kind.DUPLICATES, 100.0),
    (Kind.ORPHANS, 100.0),
    (Kind.UNDECLARED, 100.0),
    (Kind.UNKNOWN_VERSION, 100.0),
)
_HEALTHY = (
    ("100 a second, senders' logs", Traffic(a_second=100)),
    ("100 a second, without senders' logs", Traffic(a_second=100, senders_log=False)),
    ("1 a second, senders' logs", Traffic(a_second=1)),
    ("100 a second, 10 % mirrored", Traffic(a_second=100, declared=10)),
    ("100 a second, 1 % of all lines lost, senders' logs", Traffic(a_second=100, loss=0.01)),
)


def say(line: str) -> None:
    """Prints a line at once: the next one takes minutes."""
    print(line, flush=True)  # noqa: T201


def duration(seconds: float) -> str:
    """A time as people say it."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def healthy(days: int, seeds: range) -> None:
    """Prints the false incidents of healthy traffic."""
    say("| healthy traffic | days | requests | false incidents |")
    say("|---|---|---|---|")
    for name, traffic in _HEALTHY:
        first, _ = months(seeds, traffic, days)
        total = days * len(seeds)
        million = traffic.a_second * total * 86_400 / 1e6
        say(f"| {name} | {total} | {million:,.0f} M | {first} |")
    less = max(1, days // _ANSWERS_LESS)
    answers = [simulate_answers(seed, 1, less * 86_400) for seed in seeds]
    first = sum(one.reason is NotifyReason.FIRST for told in answers for one in told)
    total = less * len(seeds)
    say(f"| answers compared, 1 a second | {total} | {total * 86_400 / 1e6:,.0f} M | {first} |")


def detection(days: int, seeds: range, a_second: float) -> None:
    """Prints how long drifts go untold."""
    head = " | ".join(f"{100 * share:g} %" for share in _SHARES)
    say(f"| drift, at {a_second:g} requests a second | {head} |")
    say("|---|" + "---|" * len(_SHARES))
    for kind, declared in DRIFTS:
        traffic = Traffic(a_second=a_second, declared=declared)
        cells = []
        for share in _SHARES:
            found = detection_s(seeds, traffic, kind, share, days)
            cells.append(_cell(kind, share, found, len(seeds)))
        say(f"| `{kind}` | {' | '.join(cells)} |")


def through_ticks() -> None:
    """Prints what real ticks on SQLite tell of real lines: two requests a second."""
    say(f"healthy, an hour: {false_incidents(3600)} false incidents")
    for kind, share in ((Kind.MISSING, 1.0), (Kind.MISSING, 0.1), (Kind.DUPLICATES, 1.0)):
        took_s = detection_by_ticks(kind, share)
        say(f"{kind} {100 * share:g} %: {'not told' if took_s is None else duration(took_s)}")


def _cell(kind: Kind, share: float, found: list[int], runs: int) -> str:
    """Median and longest time; or how many were told at all."""
    threshold = SPECS[kind].threshold
    if not found:
        return "tolerated" if threshold is not None and share <= threshold else "not told"
    if len(found) < runs:
        return f"{len(found)} of {runs} told, after {duration(found[0])} or more"
    return f"{duration(median(found))} (≤ {duration(found[-1])})"


def main() -> None:
    """Runs the simulation."""
    parser = argparse.ArgumentParser(prog="python -m tests.incident_month", description=__doc__)
    parser.add_argument("--days", type=int, default=30, help="of healthy traffic, a seed")
    parser.add_argument("--seeds", type=int, default=1, help="stretches of healthy traffic")
    parser.add_argument("--drifts", type=int, default=3, help="of each kind and share")
    parser.add_argument("--patience", type=int, default=2, help="days after which one is untold")
    parser.add_argument("--ticks", action="store_true", help="real lines, ticks and a database")
    parser.add_argument(
        "--only", choices=("healthy", "100", "1"), help="one table; a number: requests a second"
    )
    given = parser.parse_args()
    if given.ticks:
        through_ticks()
        return
    if given.only in (None, "healthy"):
        healthy(given.days, range(given.seeds))
    for a_second in (100.0, 1.0):
        if given.only in (None, f"{a_second:g}"):
            say("")
            detection(given.patience, range(given.drifts), a_second)


if __name__ == "__main__":
    main()
