"""`make campaign`: see the package's docstring. Exit status 0: nothing lost, doubled or wrong.

python -m tests.campaign --kills 200 --lines 1000000
python -m tests.campaign --kills 20 --lines 100000 --databases sqlite --json
python -m tests.campaign --drain 2000000 --databases postgresql
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.campaign.databases import database
from tests.campaign.drain import drain
from tests.campaign.member import CampaignError
from tests.campaign.report import Progress, as_json, say, table
from tests.campaign.round import Order, Result, run_round
from tests.servers.apache import apache_available
from tests.servers.choice import start_kafka
from tests.servers.kafka import KafkaBroker
from tests.servers.process import ServerError

_GROUP_MEMBERS = 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make campaign",
        description="Kills collectors with -9 while lines are produced; then an oracle compares.",
    )
    parser.add_argument("--kills", type=int, default=200, help="on each database (200)")
    parser.add_argument("--lines", type=int, default=1_000_000, help="at least, on each database")
    parser.add_argument(
        "--databases", default="sqlite,postgresql", help="sqlite, postgresql or both (both)"
    )
    parser.add_argument(
        "--group-share", type=float, default=0.2, help="share of kills in a consumer group (0.2)"
    )
    parser.add_argument("--seed", type=int, help="of lines and kills; timing differs all the same")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--keep", type=Path, help="folder for ledgers, logs, SQLite files")
    parser.add_argument(
        "--drain", type=int, metavar="LINES", help="no kills: memory while reading a backlog"
    )
    options = parser.parse_args()
    options.databases = options.databases.split(",")
    if unknown := set(options.databases) - {"sqlite", "postgresql"}:
        parser.error(f"--databases: unknown: {', '.join(sorted(unknown))}")
    if options.kills < 1 or options.lines < 1 or not 0 <= options.group_share <= 1:
        parser.error("--kills and --lines begin at 1, --group-share is from 0 to 1")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6)
    return options


def _orders(options: argparse.Namespace, broker: KafkaBroker) -> list[tuple[str, int, int, int]]:
    """Database, collectors, kills and lines of each round."""
    in_group = round(options.kills * options.group_share) if broker.groups else 0
    if options.group_share and not broker.groups:
        say(f"{broker.kind} has no real consumer groups: all kills with static partitions")
    found = []
    for kind in options.databases:
        for members, kills in ((1, options.kills - in_group), (_GROUP_MEMBERS, in_group)):
            if kills:
                found.append((kind, members, kills, options.lines * kills // options.kills))
    return found


def _campaign(options: argparse.Namespace, broker: KafkaBroker, folder: Path) -> Iterator[Result]:
    """The rounds, each as soon as it ended. Raises CampaignError, ServerError."""
    for number, (kind, members, kills, lines) in enumerate(_orders(options, broker)):
        own = folder / f"{number}-{kind}-{members}"
        own.mkdir(parents=True)
        with database(kind, own, os.environ) as url:
            order = Order(
                database_url=url,
                kills=kills,
                lines=lines,
                seed=options.seed + number,
                folder=own,
                members=members,
            )
            result = run_round(broker, order, Progress(kills, f"{kind}, {members}"))
        say("\n  ".join([f"{kind}, {members}: {result.verdict}", *result.verdict.examples]))
        yield result


def _drains(options: argparse.Namespace, broker: KafkaBroker, folder: Path) -> bool:
    is_right = True
    for kind in options.databases:
        own = folder / f"drain-{kind}"
        own.mkdir(parents=True)
        with database(kind, own, os.environ) as url:
            drained = drain(broker, url, options.drain, options.seed, own)
        print(drained, flush=True)  # noqa: T201
        is_right &= drained.verdict.is_right
    return is_right


def main() -> int:
    """Runs it; 0: right, 1: something is wrong, 2: it could not run."""
    options = _options()
    results: list[Result] = []
    environment = dict(os.environ)
    if apache_available():
        environment.setdefault("MIRRORPROOF_TEST_APACHE", "1")
    try:
        with ExitStack() as stack:
            broker = stack.enter_context(start_kafka(environment))
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="mirrorproof-campaign-"))
            say(f"{broker.kind}; seed {options.seed}")
            folder = options.keep or Path(name)
            if options.drain:
                return 0 if _drains(options, broker, folder) else 1
            results.extend(_campaign(options, broker, folder))
            is_over = True
    except (CampaignError, ServerError) as error:
        say(f"campaign: {error}")
        if not results:
            return 2
        is_over = False  # what ended before tells its tale all the same
    is_right = is_over and all(result.verdict.is_right for result in results)
    if options.json:
        rounds = [as_json(result) for result in results]
        summary = {"seed": options.seed, "kafka": broker.kind, "right": is_right, "rounds": rounds}
        print(json.dumps(summary))  # noqa: T201
    else:
        print(table(results))  # noqa: T201
    return (0 if is_right else 1) if is_over else 2


if __name__ == "__main__":
    sys.exit(main())
