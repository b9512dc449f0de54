"""The cases F1 to F36 that the lines of one episode decide; `tests/facts` has the table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collector.formats.parse import Quarantined, parse_line
from collector.hosts import HostTable
from collector.keys import mask_request_id
from collector.traits import Trait
from tests.factories import (
    arrival,
    attempt,
    bypassing,
    client,
    mirror,
    shadow,
    terms,
)
from tests.facts.table import rows
from tests.unit.pairing.verdicts import verdicts
from verifier.pairing.judge import judge
from verifier.pairing.lines import Line, Reason, Terms


def _many() -> list[Line]:
    """Twenty calls and their copies under one id."""
    return [maker(at=n) for n in range(20) for maker in (client, shadow)]


def _fan_out() -> list[Line]:
    """A page view that calls the same path three times."""
    return [maker(at=at) for maker in (client, attempt, arrival) for at in (0, 2, 7)]


EPISODES: dict[str, Callable[[], tuple[list[Line], Terms]]] = {
    "F4": lambda: (
        [client(lasts=80), attempt(code=503), attempt(at=30, code=503), attempt(at=60), shadow()],
        terms(),
    ),
    "F5": lambda: ([client(code=503, flags="URX,UF"), arrival(xff=1)], terms()),
    "F6": lambda: ([client(at=4_000), attempt(at=4_001), arrival(at=0)], terms()),
    "F7": lambda: ([client(line_id=1), shadow(line_id=2)] * 3, terms()),
    "F8": lambda: (_fan_out(), terms()),
    "F9": lambda: (_many(), terms(cap=30)),
    "F10": lambda: ([client(traits=Trait.NO_ID), arrival(traits=Trait.NO_ID)], terms()),
    "F14": lambda: ([client(code=101), attempt(code=101)], terms()),
    "F17": lambda: ([client(), attempt(), arrival(code=403, flags="UAEX")], terms()),
    "F18": lambda: ([client(), attempt()], terms()),
    "F19": lambda: ([client(code=0, flags="DC"), attempt(code=0, flags="DC")], terms()),
    "F20": lambda: ([client(), attempt()], terms(mirror(30))),
    "F21": lambda: ([client(), attempt()], terms(exempt=Reason.POLICY_CHANGED)),
    "F22": lambda: ([bypassing(), attempt()], terms()),
    "F23": lambda: ([attempt(traits=Trait.PLAIN)], terms(senders_logged=True, tls=True)),
    "F24": lambda: ([client(xff=0), attempt(xff=0), arrival(xff=1)], terms()),
    "F27": lambda: ([client(xff=1), attempt(xff=1), arrival(xff=2)], terms()),
    "F29": lambda: ([attempt(traits=Trait.AMBIGUOUS), arrival(traits=Trait.AMBIGUOUS)], terms()),
    "F31": lambda: ([client(), arrival(xff=1), arrival(xff=1)], terms()),
    "F32": lambda: ([client(), attempt()], terms()),
    "F33": lambda: ([client(), attempt(), shadow(), client(at=900), shadow(at=901)], terms()),
}

TABLE = {row.name: row for row in rows()}


@pytest.mark.parametrize("name", sorted(EPISODES))
def test_the_verdict_of_a_case_is_that_of_the_table(name: str) -> None:
    """Nothing is said that the table does not say, and the reason is told."""
    lines, asked = EPISODES[name]()
    row = TABLE[name]

    found = judge(lines, asked)

    assert set(verdicts(lines, asked)) <= {*row.verdicts, "matched"}
    reasons = {finding.reason for finding in found.findings} | set(found.exempt)
    assert {reason.value.format(mirror="v1") for reason in reasons} <= set(row.reasons)


def test_f11_ids_that_differ_in_their_trace_reason_are_one() -> None:
    """Before any verdict, in the key."""
    ids = {f"46ce024f-97b3-{reason}a45-8f73-2d4ef365608d" for reason in "49ab"}

    assert len({mask_request_id(request_id) for request_id in ids}) == 1


def test_f13_probes_call_the_pod_and_not_the_host() -> None:
    """Kubelet and Prometheus use the pod's address, which no policy watches."""
    table = HostTable(["forecast.weather.svc.cluster.local"])

    assert table.resolve("10.0.0.7:15020") == (None, False)


def test_f25_and_f26_names_are_settled_before_any_verdict() -> None:
    """A real `-shadow` host is itself; all names of one service are one."""
    real = "forecast-shadow.weather.svc.cluster.local"
    table = HostTable(["forecast.weather.svc.cluster.local", real])

    assert table.resolve("forecast-shadow.weather") == (real, False)
    assert table.resolve("Forecast.weather.svc.cluster.local.:80") == table.resolve("forecast")


@pytest.mark.parametrize(
    "line",
    [
        '[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" 200 - via_upstr',
        '{"authority":"f","response_code_details":"via_upst',
        '{"upstream_cluster":"x","method":["GET"]}',
        '[2026-11-22 15:11:42.900 CET] "GET / HTTP/1.1" 200 - - - "-" 0 1 2 3 "-" "-" "-" "-" "-" '
        "- - - - - -",
    ],
    ids=["F16 text", "F16 JSON", "F30", "F34"],
)
def test_f16_f30_f34_lines_that_cannot_be_read_are_kept_and_counted(line: str) -> None:
    """Never skipped in silence, never guessed."""
    assert isinstance(parse_line(line), Quarantined)
