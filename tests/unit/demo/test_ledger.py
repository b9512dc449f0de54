from __future__ import annotations

import pytest

from verifier.demo import ledger as ledger_module
from verifier.demo.ledger import CallRecord, Ledger, Truth, count_calls


def record(on_v2: int, on_v1: int, answered_by: str) -> CallRecord:
    """A call that happened at some time."""
    return CallRecord(0.0, on_v2=on_v2, on_v1=on_v1, answered_by=answered_by)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (record(1, 1, "v2"), Truth(calls=1, requests=1, mirrored=1)),
        (record(1, 0, "v2"), Truth(calls=1, requests=1, missing=1)),
        (record(3, 1, "v2"), Truth(calls=1, requests=1, mirrored=1)),
        (record(1, 2, "v2"), Truth(calls=1, requests=1, mirrored=1)),
        (record(0, 2, "v1"), Truth(calls=1, leaked=1)),
        (record(0, 1, "v1"), Truth(calls=1, leaked=1)),
        (record(0, 1, ""), Truth(calls=1, unanswered=1)),
        (record(1, 1, ""), Truth(calls=1, requests=1, mirrored=1, unanswered=1)),
        (record(0, 0, ""), Truth(calls=1, unanswered=1)),
    ],
    ids=[
        "mirrored",
        "not mirrored",
        "retried",
        "copied twice",
        "leaked and copied",
        "leaked without a copy",
        "copied but never connected",
        "abandoned",
        "lost",
    ],
)
def test_each_call_counts_as_what_the_applications_saw(call: CallRecord, expected: Truth) -> None:
    """Arrivals and the answer's signature decide, nothing else."""
    assert count_calls([call]) == expected


def test_a_ledger_follows_a_call_from_start_to_answer() -> None:
    """What caller and applications say about one call becomes one record."""
    book = Ledger()
    book.started("a")
    book.arrived("a", "v2")
    book.arrived("a", "v1")
    book.answered("a", "v2")

    assert book.total() == Truth(calls=1, requests=1, mirrored=1)
    assert book.calls()["a"].copies == 1


def test_arrivals_of_unknown_calls_are_not_counted() -> None:
    """A health check or a stranger's request is no call of the demo."""
    book = Ledger()

    book.arrived("stranger", "v1")
    book.answered("stranger", "v1")

    assert book.total() == Truth()


def test_old_calls_are_folded_into_the_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo that runs for days keeps totals of old calls, not their records."""
    monkeypatch.setattr(ledger_module, "_FOLD_AGE_S", -1.0)
    monkeypatch.setattr(ledger_module, "_FOLD_EVERY", 10)
    book = Ledger()
    for number in range(10):
        book.started(str(number))

    assert book.calls() == {}
    assert book.total() == Truth(calls=10, unanswered=10)
