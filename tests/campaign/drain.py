"""How much memory a collector takes while it reads a backlog."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.campaign.ledger import Ledger
from tests.campaign.member import CampaignError, Member, Task
from tests.campaign.oracle import Verdict, compare
from tests.campaign.production import Production
from tests.campaign.report import say
from tests.campaign.round import PARTITIONS
from tests.campaign.store import Store
from tests.servers.kafka import KafkaBroker


@dataclass(frozen=True, slots=True)
class Drained:
    """What was measured.

    Attributes:
        peak_mb: Largest resident set of the process.
        took_s: From its start to the last line.
        cpu_s: Processor time of the process.
    """

    database: str
    verdict: Verdict
    peak_mb: float
    took_s: float
    cpu_s: float

    def __str__(self) -> str:
        lines = self.verdict.lines.total()
        return (
            f"{self.database}: backlog of {lines:,} lines read in {self.took_s:.0f} s "
            f"({lines / self.took_s:,.0f} lines/s, {self.cpu_s / lines * 1e6:.1f} µs of processor "
            f"each), at most {self.peak_mb:.0f} MB resident; {self.verdict}"
        )


def drain(broker: KafkaBroker, database_url: str, lines: int, seed: int, folder: Path) -> Drained:
    """Produces so many lines, then reads them with one collector of default settings.

    Raises:
        CampaignError: The collector ended, or did not come to the end in an hour.
    """
    topic, store, file = broker.create_topic(PARTITIONS), Store(database_url), folder / "ledger.db"
    production = Production(broker.bootstrap, topic, PARTITIONS, file, seed)
    production.finish(lines)
    production.start()
    while production.is_alive():
        production.join(5.0)
        say(f"{store.kind}: {production.lines} of {lines} lines produced")
    if production.failed is not None:
        raise CampaignError(f"production failed: {production.failed}")
    with Ledger(file) as ledger:
        ends = ledger.ends()
        task = Task(broker.bootstrap, topic, PARTITIONS, database_url, None, folder)
        member = Member("drain", task, store, Random(seed))
        started_s = time.monotonic()
        member.start(None)
        try:
            while {p: at.next_offset for p, at in store.positions().items()} != ends:
                member.dies()
                if time.monotonic() - started_s > 3_600:
                    raise CampaignError(f"not read to {ends}:\n{member.log_end()}")
                time.sleep(0.2)
            took_s = time.monotonic() - started_s
            peak_mb, cpu_s = _peak_mb(member.pid), _cpu_s(member.pid)
            member.leave()
        finally:
            member.kill()
        return Drained(store.kind, compare(ledger, store, topic), peak_mb, took_s, cpu_s)


def _peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _cpu_s(pid: int) -> float:
    """User and system time; Linux counts in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
