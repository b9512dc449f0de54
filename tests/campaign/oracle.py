"""Compares the ledger with the database: every line once, every offset covered, every count right.

It shares no code with the product. As a program it looks at what a campaign left behind
(`--keep FOLDER`): `python -m tests.campaign.oracle LEDGER DATABASE_URL`.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.campaign.ledger import Ledger, Place
from tests.campaign.lines import Kind, Line
from tests.campaign.store import Position, Store

_EXAMPLES: Final = 5


@dataclass
class Verdict:
    """What the oracle found.

    Attributes:
        lines: How many the ledger has, by what had to become of them.
        lost: Lines that are not where they should be.
        doubled: Rows beyond the first of one line.
        foreign: Rows of lines that were never produced, or had to be stored nowhere.
        cover: Breaks in the chain of batch rows and positions.
        counts: Batch rows that count wrongly.
        examples: A few sentences about what is wrong, in the order found.
    """

    lines: Counter[Kind] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    cover: int = 0
    counts: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether nothing at all is wrong."""
        return not (self.lost or self.doubled or self.foreign or self.cover or self.counts)

    def complain(self, what: str, sentence: str) -> None:
        """Counts one fault of a kind (an attribute's name)."""
        setattr(self, what, getattr(self, what) + 1)
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{what}: {sentence}")

    def __str__(self) -> str:
        total = sum(self.lines.values())
        return (
            f"{total} lines: {self.lost} lost, {self.doubled} doubled, {self.foreign} foreign; "
            f"{self.cover} breaks in the offsets, {self.counts} wrong counts"
        )


def compare(ledger: Ledger, store: Store, topic: str) -> Verdict:
    """Compares one topic's ledger with a database that has nothing else."""
    verdict, positions = Verdict(), store.positions()
    for partition in sorted({*ledger.partitions(), *store.partitions()}):
        wanted = ledger.lines(partition)
        verdict.lines.update(line.kind for line in wanted.values())
        _Partition(partition, topic, wanted, store, verdict).compare(positions.get(partition))
    for _ in range(store.rows_without_batch()):
        verdict.complain("foreign", "a row has no batch")
    return verdict


@dataclass
class _Partition:
    number: int
    topic: str
    wanted: dict[Place, Line]
    store: Store
    verdict: Verdict

    def compare(self, position: Position | None) -> None:
        self._compare_rows()
        self._compare_quarantine()
        self._compare_cover(position)
        self._compare_counts()

    def _complain(self, what: str, sentence: str) -> None:
        self.verdict.complain(what, f"partition {self.number}: {sentence}")

    def _compare_rows(self) -> None:
        found: Counter[Place] = Counter()
        for row in self.store.rows(self.number):
            place = (row.offset, row.item)
            wanted = self.wanted.get(place)
            if wanted is None or wanted != (Kind.STORED, row.identity) or row.topic != self.topic:
                self._complain("foreign", f"{place} holds {row.identity}, not {wanted}")
                continue
            if not row.batch_from <= row.offset < row.batch_to:
                self._complain("cover", f"{place} is not of its batch")
            found[place] += 1
        self._compare_places(Kind.STORED, found)

    def _compare_quarantine(self) -> None:
        found = Counter(self.store.quarantined(self.number))
        for place in found:
            line = self.wanted.get(place)
            if line is None or line.kind is not Kind.QUARANTINED:
                self._complain("foreign", f"{place} is in quarantine, but was {line}")
        self._compare_places(Kind.QUARANTINED, found)

    def _compare_places(self, kind: Kind, found: Counter[Place]) -> None:
        for place, line in self.wanted.items():
            if line.kind is not kind:
                continue
            if not found[place]:
                self._complain("lost", f"{place} {line.identity}".rstrip())
            for _ in range(found[place] - 1):
                self._complain("doubled", f"{place} {line.identity}".rstrip())

    def _compare_cover(self, position: Position | None) -> None:
        """The batch rows follow each other from the first offset to the position."""
        reached, end = 0, max((offset + 1 for offset, _ in self.wanted), default=0)
        for row in self.store.batches(self.number):
            if row.from_offset != reached or row.topic != self.topic:
                self._complain("cover", f"a batch begins at {row.from_offset}, not {reached}")
            reached = row.to_offset
        if reached != end:
            self._complain("cover", f"the batches end at {reached}, the ledger at {end}")
        if position is None or position[:2] != (self.topic, end) or position.state != "running":
            self._complain("cover", f"the position is {position}, not {end}")

    def _compare_counts(self) -> None:
        """Each batch row counts the ledger's lines of its offsets, no more and no less."""
        by_offset: dict[int, Counter[Kind]] = {}
        for (offset, _), line in self.wanted.items():
            by_offset.setdefault(offset, Counter())[line.kind] += 1
        for row in self.store.batches(self.number):
            inside = [by_offset[o] for o in range(row.from_offset, row.to_offset) if o in by_offset]
            sums = [sum(counts[kind] for counts in inside) for kind in Kind]
            said = [row.stored, row.ignored, row.quarantined]
            if (len(inside), sum(sums), sums) != (row.records, row.read, said):
                self._complain("counts", f"{row}: the ledger has {sums} in {len(inside)} records")


def main(arguments: list[str]) -> int:
    """The program; 0: nothing is wrong, 1: something is, 2: wrong usage."""
    if len(arguments) != 2 or not Path(arguments[0]).is_file():
        print("usage: python -m tests.campaign.oracle LEDGER DATABASE_URL", file=sys.stderr)  # noqa: T201
        return 2
    store = Store(arguments[1])
    topics = sorted({found.topic for found in store.positions().values()})
    with Ledger(Path(arguments[0])) as ledger:
        verdict = compare(ledger, store, topics[0] if len(topics) == 1 else "")
    print("\n".join([str(verdict), *verdict.examples]))  # noqa: T201
    return 0 if verdict.is_right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
