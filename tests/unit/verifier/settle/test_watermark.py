"""The watermark: what holds event time back, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from verifier.settle.watermark import (
    FOREVER_US,
    EvidenceRules,
    PartitionState,
    Watermark,
    global_watermark,
    partition_watermark,
)

RULES = EvidenceRules(max_age_us=20, allowance_us=5)
NOW = 1_000


def partition(name: str = "a", **fields: Any) -> PartitionState:
    """A partition that is read to its end by fresh word of the broker."""
    values: dict[str, Any] = {
        "name": name, "next_offset": 7, "end_offset": 7, "end_checked_us": NOW, "watermark_us": 900,
    }  # fmt: skip
    return PartitionState(**(values | fields))


def test_an_idle_partition_moves_on_with_the_brokers_clock() -> None:
    """Read to its end, it is complete up to the broker's word less the shipping allowance."""
    assert partition_watermark(partition(), NOW, RULES) == NOW - 5


def test_an_idle_partition_never_goes_back() -> None:
    """What it brought is later than the broker's word allows for."""
    assert partition_watermark(partition(watermark_us=999), NOW, RULES) == 999


@pytest.mark.parametrize(
    "fields",
    [
        {"next_offset": 6},
        {"end_checked_us": NOW - 21},
        {"end_offset": None, "end_checked_us": None},
        {"stopped": True},
    ],
    ids=["lagging", "stale word", "never asked", "stopped"],
)
def test_a_partition_not_known_to_be_read_stands_where_it_is(fields: dict[str, Any]) -> None:
    """It holds time at the largest end time that it brought."""
    assert partition_watermark(partition(**fields), NOW, RULES) == 900


def test_word_as_old_as_allowed_is_fresh() -> None:
    """The age limit is inclusive."""
    assert partition_watermark(partition(end_checked_us=NOW - 20), NOW, RULES) == NOW - 25


def test_a_collector_whose_clock_is_ahead_moves_no_time() -> None:
    """The database's clock is the limit."""
    assert partition_watermark(partition(end_checked_us=NOW + 500), NOW, RULES) == NOW - 5


def test_reading_beyond_the_brokers_word_is_reading_to_the_end() -> None:
    """Records that came after it was asked are read already."""
    assert partition_watermark(partition(next_offset=9), NOW, RULES) == NOW - 5


def test_a_finished_file_holds_nothing_back() -> None:
    """Nothing follows: it is complete for ever."""
    assert partition_watermark(partition(finished=True), NOW, RULES) == FOREVER_US


def test_the_slowest_partition_holds_all_back() -> None:
    """The watermark is the least of all, and tells whose it is."""
    states = [partition("a"), partition("b", next_offset=0, watermark_us=40), partition("c")]

    assert global_watermark(states, NOW, RULES) == Watermark(40, "b")


def test_a_lagging_partition_that_brought_nothing_yet_stops_everything() -> None:
    """Nobody knows how early its lines are."""
    states = [partition("a"), partition("b", next_offset=0, watermark_us=None)]

    assert global_watermark(states, NOW, RULES) == Watermark(None, "b")


def test_without_partitions_nothing_is_complete() -> None:
    """A database without collector settles nothing."""
    assert global_watermark([], NOW, RULES) == Watermark(None, "")
