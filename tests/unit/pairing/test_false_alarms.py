"""The 36 false alarms (F1 to F36) of the field survey: what each amounts to here, and why.

Each row names the verdict and the reason that mirrorproof gives, and where it is decided. Those
that the lines of one episode decide are acted out below; the others need the surroundings (holes,
time, policies, files) and name the place that decides them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
from tests.unit.pairing.verdicts import verdicts
from verifier.pairing.judge import judge
from verifier.pairing.lines import Line, Reason, Terms

HOLES = "evidence of completeness: check.evidence, settle"
TIME = "watermark and settling: settle"
POLICY = "policies: routes, versions"
INTAKE = "collector"


@dataclass(frozen=True)
class Row:
    """One false alarm: what it looks like, what is said of it, and who decides."""

    cause: str
    verdict: str
    reason: str = ""
    elsewhere: str = ""


TABLE = {
    "F1": Row("lines lost in shipping", "unverifiable", Reason.LOG_LOSS, HOLES),
    "F2": Row("shipping is slow", "pending", "", TIME),
    "F3": Row("a line comes after its window settled", "matched", "", TIME),
    "F4": Row("retries: several lines of the primary", "matched"),
    "F5": Row("the primary never connected, the copy came", "matched"),
    "F6": Row("clocks differ", "matched"),
    "F7": Row("a line is delivered or read twice", "matched"),
    "F8": Row("one id for several calls", "matched"),
    "F9": Row("one id for thousands of calls", "ambiguous", Reason.TOO_MANY_LINES),
    "F10": Row("no id", "ambiguous", Reason.NO_REQUEST_ID),
    "F11": Row("trace reasons differ", "matched"),
    "F12": Row("a proxy died with its last lines", "unverifiable", "", HOLES),
    "F13": Row("probes straight to a pod", "not a request", "", "collector.hosts: other host"),
    "F14": Row("CONNECT and upgrades", "exempt", Reason.NEVER_MIRRORED),
    "F15": Row("streams are logged at their end", "unverifiable", "", TIME),
    "F16": Row("a line was cut", "quarantined", "", INTAKE),
    "F17": Row("the mirror refuses or fails", "matched"),
    "F18": Row("the mirror has no pod", "missing", Reason.NO_COPY),
    "F19": Row("the client left", "exempt", Reason.ABANDONED),
    "F20": Row("a percentage below 100", "unsampled"),
    "F21": Row("the policy has just changed", "exempt", Reason.POLICY_CHANGED),
    "F22": Row("another route without mirror", "exempt", Reason.BYPASSED),
    "F23": Row("called past every mirroring proxy", "exempt", Reason.BYPASSED),
    "F24": Row("no suffix since Istio 1.28", "matched"),
    "F25": Row("a host that is really named -shadow", "not a copy", "", "collector.hosts"),
    "F26": Row("names of the host differ", "matched"),
    "F27": Row("forwarded addresses differ", "matched"),
    "F28": Row("logging is off at one side", "unverifiable", Reason.MIRROR_SILENT, HOLES),
    "F29": Row("forged text fields", "ambiguous", Reason.EXTRA_QUOTES),
    "F30": Row("JSON types change at an upgrade", "quarantined", "", INTAKE),
    "F31": Row("several mirrors to one destination", "duplicate", Reason.SURPLUS),
    "F32": Row("a body too large to copy", "missing", Reason.NO_COPY),
    "F33": Row("the client repeats a request with its id", "matched"),
    "F34": Row("times of another zone", "quarantined", "", INTAKE),
    "F35": Row("the topic dropped lines before they were read", "unverifiable", "", HOLES),
    "F36": Row("the collector was down", "pending", "", TIME),
}


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
    "F23": lambda: ([bypassing(), attempt()], terms(senders_logged=True)),
    "F24": lambda: ([client(xff=0), attempt(xff=0), arrival(xff=1)], terms()),
    "F27": lambda: ([client(xff=1), attempt(xff=1), arrival(xff=2)], terms()),
    "F29": lambda: ([attempt(traits=Trait.AMBIGUOUS), arrival(traits=Trait.AMBIGUOUS)], terms()),
    "F31": lambda: ([client(), arrival(xff=1), arrival(xff=1)], terms()),
    "F32": lambda: ([client(), attempt()], terms()),
    "F33": lambda: ([client(), attempt(), shadow(), client(at=900), shadow(at=901)], terms()),
}

IN_OTHER_TESTS_HERE = {"F11", "F13", "F16", "F25", "F26", "F30", "F34"}


def test_the_table_is_complete() -> None:
    """Every false alarm has its row, and each row is acted out or names who decides."""
    assert list(TABLE) == [f"F{number}" for number in range(1, 37)]
    for name, row in TABLE.items():
        assert name in EPISODES or name in IN_OTHER_TESTS_HERE or row.elsewhere, name
        assert not (name in EPISODES and row.elsewhere), name


@pytest.mark.parametrize("name", sorted(EPISODES))
def test_the_verdict_of_a_false_alarm_is_that_of_the_table(name: str) -> None:
    """Nothing else is said of it, and the reason is told."""
    lines, asked = EPISODES[name]()
    row = TABLE[name]

    found = judge(lines, asked)

    said = set(verdicts(lines, asked))
    # A duplicate is said beside the match: the request itself is in order.
    assert said - ({"matched"} if row.verdict == "duplicate" else set()) == {row.verdict}
    reasons = {finding.reason for finding in found.findings} | set(found.exempt)
    assert reasons == ({row.reason} if row.reason else set())


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
