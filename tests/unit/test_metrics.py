"""Names, labels and bounds of metrics."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.errors import Retryable
from collector.metric import Kind, Spec
from collector.metrics import SPECS
from collector.service.process import MOST_NAMES, OTHER, Bounded, ProcessMetrics
from collector.settings import VerifierSettings
from tests.clocks import HandClock
from tests.docs import README, with_metrics
from verifier.alerts.outcome import Outcome
from verifier.monitor import Monitor
from verifier.pairing.percentage import Percentage
from verifier.pairing.statement import Ruling, Statement
from verifier.settle.record import Settled
from verifier.settle.ruling import Result
from verifier.settle.tick import Ticked
from verifier.settle.versions import Versions
from verifier.settle.watermark import Watermark
from verifier.settle.windows import Span


def scraped(process: ProcessMetrics) -> dict[str, dict[tuple[str, ...], float]]:
    """What Prometheus would read: values by name, and by label values in order of their names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(process.answer("")[0].decode()):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in sorted(sample.labels))
            found.setdefault(sample.name.removeprefix("mirrorproof_"), {})[labels] = sample.value
    return found


def test_the_readme_has_the_metrics_of_the_code() -> None:
    """Every metric is there with its kind, labels and meaning (`python -m tests.docs`)."""
    text = README.read_text()

    assert text == with_metrics(text)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_names_follow_prometheus(spec: Spec) -> None:
    """Base units, `_total` on counters alone, and no label that anybody outside can choose."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", spec.name)
    assert spec.name.endswith("_total") == (spec.kind is Kind.COUNTER)
    assert not re.search(r"_(ms|us|millis|minutes|count|sum|bucket)\b", spec.name)
    assert not {"path", "request_id", "pod", "host", "owner"} & {*spec.labels}


def test_no_name_is_given_twice() -> None:
    """Two metrics of one name would be one to Prometheus."""
    assert len({spec.name for spec in SPECS}) == len(SPECS)


def test_names_beyond_the_bound_share_a_label() -> None:
    """Whoever had a name keeps it."""
    bound = Bounded(most=2)

    assert [bound.of(name) for name in ("a", "b", "c", "a", "d", "b")] == [
        "a", "b", OTHER, "a", OTHER, "b",
    ]  # fmt: skip


def settled(policy: str, revision: int = 1, **verdicts: int) -> Settled:
    """A window of a policy, violated."""
    share = Percentage(100.0, 90.0, 80.0, 95.0, consistent=False)
    result = Result(0, verdicts, share, Ruling(Statement.VIOLATED, "1 missing"))
    return Settled(policy, Span(0, 10), revision, sum(verdicts.values()), result, 0)


def ticked(*done: Settled) -> Ticked:
    """A round that settled these."""
    return Ticked(Watermark(0), list(done), more=False, batches=[], versions=Versions(()))


@pytest.fixture
def clock() -> HandClock:
    """The verifier's clock."""
    return HandClock()


@pytest.fixture
def process() -> ProcessMetrics:
    """A process with nothing in it yet."""
    return ProcessMetrics()


@pytest.fixture
def monitor(process: ProcessMetrics, clock: HandClock) -> Monitor:
    """The monitor of a verifier that just started."""
    return Monitor(VerifierSettings(hang_s=60.0), process, clock)


def test_a_correction_counts_as_a_revision_alone(
    monitor: Monitor, process: ProcessMetrics, clock: HandClock
) -> None:
    """Verdicts are counted once for each window, when it is settled first."""
    monitor.turned(ticked(settled("w/a", matched=9, missing=1)), 0.2)
    monitor.turned(ticked(settled("w/a", 2, matched=10, missing=0)), 0.2)

    found = scraped(process)
    assert found["verdicts_total"] == {("w/a", "matched"): 9.0, ("w/a", "missing"): 1.0}
    assert found["windows_total"] == {("w/a", "violated"): 1.0}
    assert found["revisions_total"] == {("w/a",): 1.0}
    assert found["tick_seconds_count"] == {(): 2.0}
    assert found["lease_held"] == {(): 1.0}
    assert found["last_success_timestamp_seconds"] == {("settle",): clock.now_us() / 1e6}


def test_a_thousand_policies_have_two_hundred_names(
    monitor: Monitor, process: ProcessMetrics
) -> None:
    """The others are one, and no verdict is lost of the sum."""
    for number in range(1_000):
        monitor.turned(ticked(settled(f"w/{number}", matched=1)), 0.01)

    verdicts = scraped(process)["verdicts_total"]
    assert len(verdicts) == MOST_NAMES + 1
    assert verdicts[OTHER, "matched"] == 1_000 - MOST_NAMES
    assert sum(verdicts.values()) == 1_000


def test_who_stands_by_is_ready_and_holds_no_lease(
    monitor: Monitor, process: ProcessMetrics
) -> None:
    """The other one settles; this one is at hand."""
    assert list(monitor.health.not_ready()) == ["starting"]

    monitor.turned(None, 0.01)

    assert monitor.health.not_ready() == {}
    assert scraped(process)["lease_held"] == {(): 0.0}
    assert "settle" not in scraped(process).get("last_success_timestamp_seconds", {})


def test_a_database_that_is_away_is_no_reason_to_restart(
    monitor: Monitor, process: ProcessMetrics, clock: HandClock
) -> None:
    """Not ready, with the reason, and live as long as the loop tries; a hung one is neither."""
    monitor.turned(ticked(), 0.01)
    monitor.failed(Retryable("connection refused"))

    assert monitor.health.not_ready() == {"database_away": "connection refused"}
    assert monitor.health.not_live() == {}
    assert scraped(process)["trouble"] == {("verifier", "database_away"): 1.0}
    assert scraped(process)["lease_held"] == {(): 0.0}
    clock.advance(61.0)
    assert [*monitor.health.not_live()] == ["hung"]
    assert scraped(process)["loop_silent_seconds"] == {("verifier",): 61.0}
    monitor.beat()
    monitor.turned(ticked(), 0.01)
    assert monitor.health.not_ready() == {}


def test_attempts_are_counted_by_receiver_and_outcome(
    monitor: Monitor, process: ProcessMetrics, clock: HandClock
) -> None:
    """And the last one that was accepted has its time."""
    monitor.attempted("pager", Outcome.RETRY)
    monitor.attempted("pager", Outcome.RETRY)
    assert "last_success_timestamp_seconds" not in scraped(process)

    monitor.attempted("pager", Outcome.DELIVERED)

    found = scraped(process)
    assert found["alert_attempts_total"] == {("pager", "retry"): 2.0, ("pager", "delivered"): 1.0}
    assert found["last_success_timestamp_seconds"] == {("deliver",): clock.now_us() / 1e6}
