"""The short form of `make campaign`: the collector is killed with -9 again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.ledger import Ledger
from tests.campaign.lines import Kind
from tests.campaign.oracle import compare
from tests.campaign.round import Order, run_round
from tests.campaign.store import Store
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

KILLS = 4
# One while it starts, one at work, one after and one before the commit of a batch.
SEED = 1038
ROW = "(SELECT max(record_offset) FROM observation)"
MUTATIONS = {
    "lost": f"DELETE FROM observation WHERE record_offset = {ROW}",
    "doubled": "INSERT INTO observation SELECT * FROM observation WHERE record_offset = 0",
    "foreign": f"UPDATE observation SET record_offset = record_offset + 1000000 "
    f"WHERE record_offset = {ROW}",
    "cover": "UPDATE position SET next_offset = next_offset - 1 WHERE partition = 0",
}


def test_kill_dash_nine_loses_and_doubles_nothing(
    kafka: KafkaBroker, migrated_database_url: str, tmp_path: Path
) -> None:
    """Killed within transactions and around commits, under production: 0 lost, 0 doubled."""
    order = Order(
        database_url=migrated_database_url,
        kills=KILLS,
        lines=5_000,
        seed=SEED,
        folder=tmp_path,
        ahead=4_000,
    )

    result = run_round(kafka, order)

    assert result.verdict.is_right, result.verdict.examples
    assert result.verdict.lines.total() >= 5_000
    assert set(result.verdict.lines) == set(Kind)
    assert result.deaths.total() == KILLS
    assert set(result.deaths) == {"open", "before", "after"}
    assert len(result.first_commits_s) >= 1
    _see_complaints(tmp_path, Store(migrated_database_url), result.topic)


def _see_complaints(folder: Path, store: Store, topic: str) -> None:
    """The same oracle complains when a row of this very database is changed."""
    with Ledger(folder / "ledger.db") as ledger:
        for kind, statement in MUTATIONS.items():
            before = getattr(compare(ledger, store, topic), kind)
            store.execute(statement)
            assert getattr(compare(ledger, store, topic), kind) > before, kind
