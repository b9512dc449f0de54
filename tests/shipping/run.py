"""One case: a recording, a fault, and what both forms of the product say of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Engine

from collector.db.engine import reading
from collector.keys import mask_request_id
from tests import recordings
from tests.settling import NOW, SECOND
from tests.shipping import traffic
from tests.shipping.compare import Outcome, Said, compare, said_live
from tests.shipping.live import Pipeline
from tests.shipping.traffic import Fault, Shipped, Told, Truth
from verifier.check import report
from verifier.check.run import check
from verifier.policies.read import read_policies
from verifier.policies.stored import to_record

PARTITIONS = 4
GRACE_US = 30 * SECOND
ALWAYS = 100


@dataclass(frozen=True)
class Case:
    """A fault.

    Attributes:
        name: In words.
        fault: What becomes of the records.
        copies: So often the recording is sent: rare faults need much traffic.
        behind: Partitions that are read only from a time on.
        by_files: Whether `check` is asked, too: a file that is named is complete, so that nobody
            can tell it of a node that died.
    """

    name: str
    fault: Fault
    copies: int = 1
    behind: Mapping[int, int] = field(default_factory=dict)
    by_files: bool = True


CASES = (
    Case("nothing", lambda sent, _: sent),
    Case("0.01 % of lines dropped", traffic.dropped(0.0001), copies=8),
    Case("0.1 % of lines dropped", traffic.dropped(0.001), copies=4),
    Case("1 % of lines dropped", traffic.dropped(0.01)),
    Case("10 % of lines dropped", traffic.dropped(0.1)),
    Case("20 s of each node dropped", traffic.blocks(20 * SECOND), by_files=False),
    Case("10 % of lines up to 300 s late", traffic.delayed(0.1, 10 * GRACE_US)),
    Case("a node 300 s late", traffic.node_delayed("node-b", 10 * GRACE_US)),
    Case("20 % of lines repeated", traffic.repeated(0.2, 60 * SECOND)),
    Case("reordered over partitions", traffic.reordered(PARTITIONS, 4 * SECOND)),
    Case(
        "a partition a million behind",
        lambda sent, _: sent,
        behind={1: NOW + 400 * SECOND},
    ),
    Case("a node's shipper dead", traffic.dead("node-b", back=False), by_files=False),
    Case("dead, and back without the rest", traffic.dead("node-b", back=True), by_files=False),
)


@lru_cache(maxsize=2)
def _recorded(recording: str, copies: int) -> tuple[Truth, list[Shipped]]:
    told = traffic.told_of(recording, copies)
    truth = traffic.truth_of(told)
    (policy,) = read_policies([policy_of(recording)])
    if max((mirror.percent for mirror in policy.mirrors), default=0) < ALWAYS:
        truth = replace(truth, missing=Counter())  # who has no copy was not drawn
    return truth, traffic.ship(told, PARTITIONS, random.Random(1))


def policy_of(recording: str) -> Path:
    """The policy that a recording is judged by."""
    return recordings.POLICIES / recordings.EXPECTED[recording]["policy"]


def live(case: Case, recording: str, engine: Engine, seed: int = 7) -> Outcome:
    """What the live pipeline says.

    Args:
        case: What goes wrong.
        recording: A folder's name.
        engine: An empty, migrated database.
        seed: Of chance.
    """
    truth, good = _recorded(recording, case.copies)
    sent = case.fault(good, random.Random(seed))
    (policy,) = read_policies([policy_of(recording)])
    # One partition more than is written to: it idles.
    pipeline = Pipeline(engine, [to_record(policy)], PARTITIONS + 1, behind=case.behind)
    pipeline.run(sent)
    pipeline.close()
    with reading(engine) as connection:
        said = said_live(connection, policy.name)
    return compare(said, truth, _seen(sent))


def by_check(case: Case, recording: str, folder: Path, seed: int = 7) -> Outcome:
    """What `check` says of files with the lines that arrived, in the order in which they did."""
    truth, good = _recorded(recording, case.copies)
    sent = case.fault(good, random.Random(seed))
    logs: dict[str, list[bytes]] = {}
    for one in sent:
        if one.line is not None:
            logs.setdefault(one.pod, []).append(one.line.text)
    files = recordings.write_plain(logs, folder)
    with check(read_policies([policy_of(recording)]), files, limit=1_000_000) as outcome:
        (found,) = report.to_json(outcome, report.results(outcome))["policies"]
    said = Said(found["primary"]["requests"], found["statement"], found["verdicts"])
    for one in found["findings"]:
        key = (mask_request_id(one["request_id"]), one["path"])
        said.find(one["verdict"], one["reason"], key, one["count"])
    return compare(said, truth, _seen(sent))


def _seen(sent: list[Shipped]) -> set[Told]:
    return {one.line for one in sent if one.line is not None}
