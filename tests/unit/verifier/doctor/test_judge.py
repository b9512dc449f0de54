"""What facts about an installation mean to `mirrorproof doctor`."""

from __future__ import annotations

import json
import time
from threading import Event

import pytest

from collector.errors import Retryable
from tests.lines import client_line, shipped
from verifier.doctor import judge, judge_kafka
from verifier.doctor.finding import Finding, Status, fail, is_well, ok, skipped, warn
from verifier.doctor.judge import Sides
from verifier.doctor.judge_kafka import Place
from verifier.doctor.run import Group, Report, examine
from verifier.doctor.words import duration
from verifier.sample.look import look
from verifier.sample.needs import RECOMMENDED

NOW_US = 1_800_000_000_000_000
HOUR_US = 3_600_000_000


def place(name: str = "t/0", next_offset: int = 10, late_s: float = 0, **fields: object) -> Place:
    """A partition that somebody reads, whose last line ended so long ago."""
    values = {"owner": "c", "watermark_us": NOW_US - int(late_s * 1e6)} | fields
    return Place(name=name, next_offset=next_offset, **values)  # type: ignore[arg-type]


def sides(
    requests: int, senders: int, primary: int, mirror: int, *, has_mirror: bool = True
) -> Sides:
    """A policy's."""
    return Sides("w/a", requests, senders, primary, mirror, has_mirror)


def best_json() -> bytes:
    """A line with all that is recommended, in an envelope that names the pod."""
    return without("")


def without(left_out: str) -> bytes:
    """The same without a field."""
    line = dict.fromkeys(RECOMMENDED, "x") | {
        "start_time": "2026-11-22T15:11:42.900Z", "response_code": 200, "duration": 3,
        "request_id": "46ce024f-97b3-4a45-8f73-2d4ef365608d", "method": "GET", "path": "/",
        "bytes_received": 0, "bytes_sent": 1, "upstream_cluster": "outbound|3002|v2|a.b",
        "attempt_count": "1", "response_flags": "-",
    }  # fmt: skip
    return shipped(json.dumps({key: said for key, said in line.items() if key != left_out}))


AMBIGUOUS = shipped(client_line("46ce024f").replace('"curl/8"', '"x" "y" "z"'))


CASES = {
    "ok": [
        judge_kafka.partitions("t", {"t/0": 5}),
        judge_kafka.lag([place()], {"t/0": 10}, NOW_US),
        judge_kafka.lag([place(late_s=20)], {"t/0": 5_000}, NOW_US),
        judge_kafka.lag([place()], {"t/0": 10, "t/1": 0}, NOW_US),
        judge_kafka.record_times(NOW_US - 1_000_000, NOW_US),
        judge_kafka.log_format(look([best_json()])),
        judge_kafka.kept("t", 7 * 86_400, None, 10),
        judge_kafka.kept("t", -0.001, None, 10),
        judge_kafka.kept("t", None, None, 0),
        judge.stopped([place()]),
        judge.clock(0.3, 20),
        judge.own_retention(7, 60, 0.2),
        judge.own_retention(0, 1e9, None),
        judge.quarantined(1_000, 3, 3),
        judge.quarantined(0, 0, 0),
        judge.heartbeats(5, 100),
        judge.logs(sides(100, 90, 2, 2)),
        judge.logs(sides(0, 0, 0, 0, has_mirror=False)),
        judge.marker("w/a", "shadow host", ""),
        judge.marker("w/a", "", ""),
        judge.disk(50_000_000_000, 100_000_000_000, 1),
    ],
    "warn": [
        judge_kafka.partitions("t", {"t/0": 0}),
        judge_kafka.lag([place(late_s=600)], {"t/0": 5_000}, NOW_US),
        judge_kafka.record_times(None, NOW_US),
        judge_kafka.record_times(NOW_US - 2 * HOUR_US, NOW_US),
        judge_kafka.log_format(look([])),
        judge_kafka.log_format(look([client_line("46ce024f").encode()])),  # names no pod
        judge_kafka.log_format(look([best_json(), best_json(), AMBIGUOUS])),
        judge_kafka.log_format(look([without("route_name")])),
        judge_kafka.kept("t", 7 * 86_400, 12 * 3_600, 0),
        judge.clock(-3, 20),
        judge.own_retention(7, 60, 3),
        judge.quarantined(1_000, 20, 20),
        judge.heartbeats(0, 100),
        judge.logs(sides(0, 0, 0, 0)),
        judge.logs(sides(100, 0, 2, 2)),
        judge.logs(sides(100, 90, 0, 2)),
        judge.marker("w/a", "policy", ""),
        judge.marker("w/a", "forwarded for", "until … by shadow host"),
        judge.disk(5_000_000_000, 100_000_000_000, 1),
    ],
    "fail": [
        judge_kafka.partitions("t", {}),
        judge_kafka.lag([place()], {"t/0": 10, "t/1": 3}, NOW_US),
        judge_kafka.lag([place()], {"t/0": 5}, NOW_US),
        judge_kafka.lag([place(late_s=600, owner=None)], {"t/0": 5_000}, NOW_US),
        judge_kafka.record_times(NOW_US + 60_000_000, NOW_US),
        judge_kafka.log_format(look([b"no access log"])),
        judge_kafka.kept("t", 1_800, None, 0),
        judge_kafka.kept("t", 86_400, 5_000, 4_000),
        judge.stopped([place(), place("t/1", stopped="the topic was created again")]),
        judge.clock(12, 20),
        judge.own_retention(1, 80_000, None),
        judge.quarantined(1_000, 600, 600),
        judge.logs(sides(100, 90, 2, 0)),
        judge.disk(100_000_000, 100_000_000_000, 1),
    ],
}


@pytest.mark.parametrize(
    ("status", "found"),
    [(status, one) for status, findings in CASES.items() for one in findings],
    ids=lambda value: value.name if isinstance(value, Finding) else value,
)
def test_facts_are_judged(status: str, found: Finding) -> None:
    """As they should be; what is not well says what to do."""
    assert found.status.value == status, found
    assert bool(found.do) == (status != "ok")
    assert found.seen


def test_a_lacking_field_is_named() -> None:
    """By the operator that would log it."""
    assert "%ROUTE_NAME%" in judge_kafka.log_format(look([without("route_name")])).seen


def test_times_are_said_as_people_do() -> None:
    """In the largest unit of which there are two."""
    said = [duration(seconds) for seconds in (0.25, 59, 150, 7_300, 200_000)]

    assert said == ["0.2 s", "59 s", "2 min", "2 h", "2 d"]


def test_well_is_what_nothing_is_to_be_mended_of() -> None:
    """A warning is something to mend; what could not be seen at all proves nothing."""
    assert is_well([ok("a", ""), skipped("b", "")])
    assert not is_well([ok("a", ""), warn("b", "", "do")])
    assert not is_well([ok("a", ""), fail("b", "", "do")])
    assert not is_well([skipped("a", "")])


def test_what_hangs_or_breaks_keeps_nothing_else_back() -> None:
    """Each group tells what it saw; of the rest the first failed, the others refer to it."""
    forever = Event()

    def hangs(report: Report) -> None:
        report(ok("a", "seen"))
        forever.wait(60)

    def breaks(_report: Report) -> None:
        raise Retryable("refused")

    def is_wrong(_report: Report) -> None:
        raise ZeroDivisionError

    groups = [
        Group(("a", "b", "c"), hangs),
        Group(("d", "e"), breaks),
        Group(("f",), is_wrong),
        Group(("g",), lambda report: report(ok("g", "seen"))),
    ]
    began_s = time.monotonic()
    found = examine(groups, 0.3)
    took_s = time.monotonic() - began_s
    forever.set()

    assert took_s < 30
    assert [(one.name, one.status.value) for one in found] == [
        ("a", "ok"), ("b", "fail"), ("c", "skipped"), ("d", "fail"), ("e", "skipped"),
        ("f", "fail"), ("g", "ok"),
    ]  # fmt: skip
    assert [found[n].seen for n in (1, 2, 3, 4, 5)] == [
        "no answer within 0.3 s", "see b", "refused", "see d", "ZeroDivisionError: ",
    ]  # fmt: skip
    assert found[1].status is Status.FAIL
