"""One round of a campaign: kills on one database, by one way of sharing partitions out."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.campaign.ledger import Ledger
from tests.campaign.member import CampaignError, Member, Task, plan_death
from tests.campaign.oracle import Verdict, compare
from tests.campaign.production import Production
from tests.campaign.store import Position, Store
from tests.servers.kafka import KafkaBroker

PARTITIONS: Final = 4
_TICK_S: Final = 0.02
_BATCHES: Final = (50, 200, 1_000)
_DRAIN_S: Final = 1_200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a round does.

    Attributes:
        kills: How many.
        lines: At least how many lines are produced.
        folder: An empty one for ledger and logs.
        members: Collectors: one has all partitions by itself, several share them in a group.
        ahead: Records that production may be ahead: the collector is never idle, nor alone.
    """

    database_url: str
    kills: int
    lines: int
    seed: int
    folder: Path
    members: int = 1
    ahead: int = 15_000


@dataclass
class Result:
    """What came of it.

    Attributes:
        deaths: Kills by how they came.
        first_commits_s: From each restart to its first commit.
    """

    database: str
    members: int
    topic: str
    deaths: Counter[str] = field(default_factory=Counter)
    first_commits_s: list[float] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    took_s: float = 0.0


def run_round(
    broker: KafkaBroker, order: Order, tell: Callable[[Result, int], None] = lambda *_: None
) -> Result:
    """Runs it, and asks the oracle.

    Args:
        broker: Where a topic of the round's own is made.
        order: What to do; the database is empty and migrated.
        tell: Called after each kill with the result so far and the number of lines.

    Raises:
        CampaignError: A process did what it must not.
    """
    return _Round(broker, order, tell).run()


class _Round:
    def __init__(
        self, broker: KafkaBroker, order: Order, tell: Callable[[Result, int], None]
    ) -> None:
        self._order, self._tell = order, tell
        # Apart from what depends on timing: one collector's deaths are the same for a seed.
        self._plans = random.Random(order.seed)
        self._store = Store(order.database_url)
        topic = broker.create_topic(PARTITIONS)
        self._result = Result(self._store.kind, order.members, topic)
        group = f"group-{topic}" if order.members > 1 else None
        task = Task(broker.bootstrap, topic, PARTITIONS, order.database_url, group, order.folder)
        self._members = [
            Member(name, task, self._store, random.Random(order.seed))
            for name in "abcdefgh"[: order.members]
        ]
        self._ledger = order.folder / "ledger.db"
        self._production = Production(broker.bootstrap, topic, PARTITIONS, self._ledger, order.seed)

    def run(self) -> Result:
        started_s = time.monotonic()
        self._production.start()
        try:
            self._kill()
            self._drain()
        finally:
            for member in self._members:
                member.kill()
            self._production.finish(0)
            self._production.join()
        with Ledger(self._ledger) as ledger:
            self._result.verdict = compare(ledger, self._store, self._result.topic)
        self._result.first_commits_s = [s for m in self._members for s in m.first_commits_s]
        self._result.took_s = time.monotonic() - started_s
        return self._result

    def _kill(self) -> None:
        """Kills and starts again until the kills are done."""
        for member in self._members:
            self._start(member)
        while self._result.deaths.total() < self._order.kills:
            self._look()
            for member in self._members:
                death = member.dies()
                if death is None:
                    continue
                self._result.deaths[death.how] += 1
                self._tell(self._result, self._production.lines)
                self._start(member)
            time.sleep(_TICK_S)

    def _start(self, member: Member) -> None:
        is_last = self._result.deaths.total() >= self._order.kills
        death = None if is_last else plan_death(self._plans)
        member.start(death, self._plans.choice(_BATCHES))

    def _look(self) -> dict[int, Position]:
        """Where everything stands; lets production go on."""
        if self._production.failed is not None:
            raise CampaignError(f"production failed: {self._production.failed}")
        positions: dict[int, Position] = {}
        if any(self._store.is_opened_by(member.pid) for member in self._members):
            positions = self._store.positions()
        for member in self._members:
            member.see(positions)
        self._production.allow(sum(p.next_offset for p in positions.values()) + self._order.ahead)
        return positions

    def _drain(self) -> None:
        """Starts those that are still to be killed anew, and lets them read to the end."""
        for member in self._members:
            if member.is_doomed:
                member.kill()
                member.start(None)
        self._production.finish(self._order.lines)
        deadline_s = time.monotonic() + _DRAIN_S
        while self._production.is_alive():
            self._look()
            time.sleep(_TICK_S)
        with Ledger(self._ledger) as ledger:
            ends = ledger.ends()
        while {p: at.next_offset for p, at in self._look().items() if at.next_offset} != ends:
            for member in self._members:
                member.dies()
            if time.monotonic() > deadline_s:
                raise CampaignError(f"not read to {ends}:\n{self._members[0].log_end()}")
            time.sleep(_TICK_S)
        for member in self._members:
            member.leave()
