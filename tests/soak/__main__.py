"""`make soak`: see the package's docstring. Exit status 0: every invariant held."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.soak.asking import reasons, unexplained
from tests.soak.run import Order, Result, run
from tests.soak.samples import LONG_S, Growth, growths


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--hours", type=float, default=24, help="of event time (24)")
    parser.add_argument("--minutes", type=float, default=20, help="that they take (20)")
    parser.add_argument("--seed", type=int, default=1, help="of traffic and faults (1)")
    parser.add_argument("--requests", type=float, default=1.0, help="a simulated second (1)")
    parser.add_argument("--database", default="postgresql", choices=["postgresql", "sqlite"])
    parser.add_argument("--keep", type=Path, help="folder for logs; the last one")
    return parser.parse_args()


def say(line: str) -> None:
    """Prints at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Runs, and tells."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="mirrorproof-soak-") as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        order = Order(
            length_s=round(options.hours * 3600),
            rate=options.hours * 60 / options.minutes,
            per_s=options.requests,
            seed=options.seed,
            kind=options.database,
            folder=folder,
        )
        began_s = time.monotonic()
        result = run(order, say)
    wrong = tell(result)
    say(f"took {time.monotonic() - began_s:.0f} s, {order.rate:.0f} times as fast as time goes")
    for line in wrong:
        say(f"WRONG: {line}")
    say("FAILED" if wrong else "all invariants held")
    return 1 if wrong else 0


def tell(result: Result) -> list[str]:
    """Prints what came of it; returns what is wrong, one line each."""
    found, wrong = result.outcome, list(result.wrong)
    say(f"{result.kafka}; {result.records:,} records, {found.requests:,} requests")
    for fault, times in sorted(Counter(event.fault.value for event in result.events).items()):
        say(f"  {times:3} times {fault}")
    say(f"uncopied {found.uncopied:,}; matched {found.matched:,}")
    for words, times in found.verdicts.most_common():
        say(f"  {times:6,}  {words}")
    say(f"false missing {len(found.false_missing)}, false matched {len(found.false_matched)}")
    wrong += [f"false missing: {one}" for one in found.false_missing[:5]]
    wrong += [f"false matched: {one}" for one in found.false_matched[:5]]
    for line in result.audits:
        say(line)
    if len(result.sizes) >= 4:
        quarters = [result.sizes[len(result.sizes) * part // 4 - 1] / 1e6 for part in (1, 2, 3, 4)]
        say("database after each quarter, MB: " + ", ".join(f"{size:.1f}" for size in quarters))
    say("| process | lives | figure | in the second quarter | in the last | flat |")
    say("|---|---|---|---|---|---|")
    for service in result.services:
        longest = max(service.lives, key=len)
        for growth in growths(longest):
            is_long = longest[-1].at_s - longest[0].at_s >= LONG_S
            say(_row(service.name, len(service.lives), growth, is_long=is_long))
            if is_long and not growth.is_flat:
                wrong.append(f"{service.name}: {growth.what} grew")
    for service in result.services:
        if service.deaths:
            say(f"{service.name} ended by itself, with status: {dict(Counter(service.deaths))}")
    _tell_answers(result)
    return wrong + unexplained(result.asked, result.outages)[:10]


def _tell_answers(result: Result) -> None:
    """What became of the questions, and why some have no answer."""
    explained = zip(result.asked, reasons(result.asked, result.outages), strict=True)
    said = Counter(f"{one.said} ({reason})" if reason else one.said for one, reason in explained)
    say("questions to the API: " + ", ".join(f"{times} {it}" for it, times in said.most_common()))


def _row(name: str, lives: int, growth: Growth, *, is_long: bool) -> str:
    scale, unit = (1e6, " MB") if growth.what == "memory" else (1, "")
    before, after = (f"{value / scale:.0f}{unit}" for value in (growth.before, growth.after))
    flat = ("yes" if growth.is_flat else "NO") if is_long else "too short to say"
    return f"| {name} | {lives} | {growth.what} | {before} | {after} | {flat} |"


if __name__ == "__main__":
    sys.exit(main())
