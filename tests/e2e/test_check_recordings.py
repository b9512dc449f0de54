"""`check` on logs of real Envoy proxies: every scenario, in every form a user may bring."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import recordings
from verifier.check import report
from verifier.check.run import check
from verifier.policies.read import read_policies

_TEXT_ONLY = {"hostile"}  # its lines with extra quotes do not show what they were


def judge(policy: Path, logs: list[str], **options: Any) -> dict[str, Any]:
    """What `check --json` prints."""
    with check(read_policies([policy]), logs, **options) as outcome:
        return report.to_json(outcome, report.results(outcome))


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """The part of the outcome that `expected.json` holds."""
    policy = document["policies"][0]
    assert document["statement"] == policy["statement"]
    return {
        "statement": policy["statement"],
        "verdicts": {name: count for name, count in policy["verdicts"].items() if count},
        "requests": policy["primary"]["requests"],
        "requests_high": policy["primary"]["requests_high"],
        "status_differs": policy["divergence"]["status"],
    }


def lines_add_up(lines: dict[str, int]) -> bool:
    """Whether every line that was read ended in exactly one way."""
    return lines["read"] == (
        lines["observations"] + lines["repeated"] + lines["ignored"] + lines["quarantined"]
    )


def _recorded() -> Iterator[Any]:
    """Every recording as it is, and in one other form in turn; in all of them at night."""
    others = [form for form in recordings.FORMS if form != "plain"]
    for number, scenario in enumerate(recordings.SCENARIOS):
        for form in recordings.FORMS:
            for senders in (True, False):
                if form == "json" and scenario in _TEXT_ONLY:
                    continue
                in_turn = form == others[number % len(others)] and senders == (number % 8 < 4)
                named = f"{scenario}-{form}-{'with' if senders else 'without'}_senders"
                marks = () if form == "plain" or in_turn else pytest.mark.slow
                yield pytest.param(scenario, form, senders, id=named, marks=marks)


@pytest.mark.parametrize(("scenario", "form", "senders"), list(_recorded()))
def test_recording_gets_its_expected_counts(
    scenario: str, form: str, senders: bool, tmp_path: Path
) -> None:
    """Every recording is judged as the applications' truth says, in every form of its logs."""
    logs = recordings.read(scenario, senders=senders)
    arguments = recordings.FORMS[form](logs, tmp_path)
    expected = recordings.EXPECTED[scenario]

    document = judge(recordings.POLICIES / expected["policy"], arguments, limit=0)

    assert expected["with_senders" if senders else "without_senders"] == summary(document)
    read = sum(len(lines) for lines in logs.values())
    assert lines_add_up(document["lines"])
    assert (read if form == "repeated" else 0) == document["lines"]["repeated"]
    assert read == document["lines"]["observations"]


@pytest.mark.parametrize("scenario", recordings.SCENARIOS)
def test_expectations_follow_the_truth(scenario: str) -> None:
    """What is expected of a recording is what its applications counted."""
    expected = recordings.EXPECTED[scenario]["with_senders"]["verdicts"]
    totals = recordings.truth(scenario)["totals"]

    lost = expected.get("missing", 0) + expected.get("unsampled", 0)
    judged = sum(expected.get(name, 0) for name in ("matched", "missing", "unsampled", "ambiguous"))

    # v1_app_down: the copies arrived at v1's proxies, though not at its applications.
    arrived_at_proxy = totals["to_v2_not_mirrored"] if scenario == "v1_app_down" else 0
    never_reached = totals["calls"] - totals["to_v2"] if scenario == "v2_outage" else 0
    assert totals["to_v2_not_mirrored"] - arrived_at_proxy == lost
    assert totals["to_v2"] + never_reached == judged
    assert totals["live_on_v1"] == expected.get("leak", 0)


def test_missing_copies_lie_between_the_events(tmp_path: Path) -> None:
    """What lacks while the mirror is removed starts between its removal and its return."""
    logs = recordings.write_plain(recordings.read("toggled"), tmp_path)
    _, removed, restored = recordings.truth("toggled")["events"]

    document = judge(recordings.POLICIES / "weather-mirror.yaml", logs, limit=1000)

    from collector.formats.timestamps import parse_time

    starts = [parse_time(f["started_at"]) / 1e6 for f in document["policies"][0]["findings"]]
    assert len(starts) == 517
    assert starts == sorted(starts)
    assert removed - 0.1 <= starts[0]
    assert starts[-1] <= restored + 0.1


def test_thirty_percent_is_no_hundred(tmp_path: Path) -> None:
    """Under a 100 % policy, what a 30 % mirror leaves out is missing."""
    logs = recordings.write_plain(recordings.read("percent30"), tmp_path)

    document = judge(recordings.POLICIES / "weather-mirror.yaml", logs)

    policy = document["policies"][0]
    assert (policy["verdicts"]["matched"], policy["verdicts"]["missing"]) == (294, 711)
    assert policy["percentage"]["consistent"] is False


def test_full_mirror_is_no_thirty_percent(tmp_path: Path) -> None:
    """Under a 30 % policy, a mirror that copies everything is rejected."""
    logs = recordings.write_plain(recordings.read("clean"), tmp_path)

    document = judge(recordings.POLICIES / "weather-30.yaml", logs)

    assert document["statement"] == "violated"
    assert document["policies"][0]["percentage"]["consistent"] is False


def test_two_mirror_policies_owe_two_copies(tmp_path: Path) -> None:
    """With both mirrors in the policy, two copies of each request are what is owed."""
    logs = recordings.write_plain(recordings.read("twice"), tmp_path)

    document = judge(recordings.POLICIES / "weather-two-mirrors.yaml", logs)

    assert summary(document)["verdicts"] == {"matched": 497}


@pytest.mark.parametrize("senders", [True, False], ids=["with_senders", "without_senders"])
@pytest.mark.parametrize("scenario", ["leak", "percent30", "retries", "toggled", "v2_outage"])
def test_clocks_change_no_verdict(scenario: str, senders: bool, tmp_path: Path) -> None:
    """Every pod's clock is off by up to two seconds; findings tell the times that pods wrote."""
    logs = recordings.read(scenario, senders=senders)
    ahead_ms = dict(zip(logs, (-2000, 1500, 700, -300, 1900), strict=False))
    logs = {pod: [recordings.shift(x, ahead_ms[pod]) for x in ls] for pod, ls in logs.items()}
    expected = recordings.EXPECTED[scenario]

    document = judge(
        recordings.POLICIES / expected["policy"], recordings.write_plain(logs, tmp_path)
    )

    assert expected["with_senders" if senders else "without_senders"] == summary(document)
    for finding in document["policies"][0]["findings"]:
        place = finding["evidence"][0]
        line = Path(place["file"]).read_text().splitlines()[place["line"] - 1]
        assert finding["started_at"] in line
        assert finding["request_id"] in line


@pytest.mark.parametrize("others", ["frontend", "forecast-v2", "frontend forecast-v2"])
def test_a_mirror_without_a_log_proves_nothing(others: str, tmp_path: Path) -> None:
    """A sender called `frontend-v1` is no pod of v1 of the forecast."""
    logs = recordings.read("clean")
    given = {pod: lines for pod, lines in logs.items() if pod.startswith(tuple(others.split()))}

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(given, tmp_path)
    )

    assert document["statement"] == "not_proven"
    assert summary(document)["verdicts"] == {"unverifiable": 497}


def test_a_sample_without_the_mirrors_log_proves_nothing(tmp_path: Path) -> None:
    """No copy was seen of any request, but where they would be seen no log was given."""
    logs = recordings.read("percent30")
    given = {pod: lines for pod, lines in logs.items() if not pod.startswith("forecast-v1")}

    document = judge(
        recordings.POLICIES / "weather-30.yaml", recordings.write_plain(given, tmp_path), limit=2000
    )

    policy = document["policies"][0]
    assert (policy["statement"], policy["verdicts"]["unverifiable"]) == ("not_proven", 1005)
    assert policy["percentage"]["observed"] is None
    assert len(policy["findings"]) == 1005


def test_requests_at_the_edge_of_a_sample_are_left_out_of_its_share(tmp_path: Path) -> None:
    """Where the mirror's log may be cut off, copies that came say nothing of the percentage."""
    logs = recordings.write_plain(recordings.read("percent30"), tmp_path)

    document = judge(recordings.POLICIES / "weather-30.yaml", logs, assume_complete=False)

    policy = document["policies"][0]
    assert (policy["verdicts"]["matched"], policy["verdicts"]["unsampled"]) == (294, 230)
    assert policy["percentage"]["consistent"] is True
    assert policy["statement"] == "not_proven"


def test_a_sender_without_lines_is_no_mirror(tmp_path: Path) -> None:
    """The empty log of a pod that only ends in the mirror's version tells nothing of the mirror."""
    logs = recordings.read("clean") | {"frontend-v1-6c9d8f7b5d-x2x7p": []}
    given = {pod: lines for pod, lines in logs.items() if not pod.startswith("forecast-v1")}

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(given, tmp_path)
    )

    assert summary(document)["verdicts"] == {"unverifiable": 497}


def test_pods_are_known_by_their_server_name_alone(tmp_path: Path) -> None:
    """Neither name nor label tells the version, but mutual TLS does: the evidence is complete."""
    logs = recordings.read("toggled")
    named = {
        f"pod-{number}": [_with_server_name(line, pod[9:11]) for line in lines]
        for number, (pod, lines) in enumerate(logs.items())
    }

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(named, tmp_path)
    )

    assert summary(document) == recordings.EXPECTED["toggled"]["with_senders"]


def _with_server_name(line: bytes, subset: str) -> bytes:
    name = f" outbound_.3002_.{subset}_.forecast.weather.svc.cluster.local default"
    return line.replace(b" - default", name.encode())


@pytest.mark.parametrize("senders", [True, False], ids=["with_senders", "without_senders"])
@pytest.mark.parametrize(
    ("scenario", "verdicts"),
    [
        ("clean", {"matched": 497}),
        ("toggled", {"matched": 1241, "missing": 517}),
        ("leak", {"matched": 1817, "unverifiable": 61}),
        ("nosuffix_leak", {"matched": 1821, "unverifiable": 57}),
    ],
)
def test_where_a_request_went_tells_its_route(
    scenario: str, verdicts: dict[str, int], senders: bool, tmp_path: Path
) -> None:
    """What v2 got took the mirrored route; what went to v1 may be a tester's, by a header."""
    logs = recordings.write_plain(recordings.read(scenario, senders=senders), tmp_path)

    document = judge(recordings.POLICIES / "weather-canary.yaml", logs)

    found = document["policies"][1]["verdicts"]
    assert {name: count for name, count in found.items() if count} == verdicts
    assert document["policies"][0]["primary"]["requests"] == 0


@pytest.mark.parametrize("senders", [True, False], ids=["with_senders", "without_senders"])
def test_live_traffic_of_the_whole_service_is_no_leak(senders: bool, tmp_path: Path) -> None:
    """A live destination without a subset reaches the mirror's pods too."""
    logs = {
        pod: [line.replace(b"|v2|", b"||").replace(b"|v1|", b"||") for line in lines]
        for pod, lines in recordings.read("leak", senders=senders).items()
    }

    document = judge(
        recordings.POLICIES / "weather-whole.yaml", recordings.write_plain(logs, tmp_path)
    )

    assert summary(document)["verdicts"] == {"matched": 1878}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scenario", ["clean", "long_lived", "diverging"])
def test_lost_lines_all_over_a_short_busy_run_are_no_missing_copies(
    scenario: str, seed: int, tmp_path: Path
) -> None:
    """Every twentieth line is lost in shipping, and no sender's log tells: nothing is proven."""
    dice = random.Random(seed)
    logs = {
        pod: [line for line in lines if dice.random() > 0.05]
        for pod, lines in recordings.read(scenario, senders=False).items()
    }

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(logs, tmp_path)
    )

    assert document["statement"] == "not_proven"
    assert document["policies"][0]["verdicts"]["missing"] == 0


def test_one_request_id_for_ever_is_ambiguous_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a key with too many lines some are only counted, so that none can be called missing."""
    monkeypatch.setattr("verifier.check.reduce.MAX_LINES_PER_KEY", 1000)
    logs = {
        pod: [_ONE_KEY.sub(rb'"GET /health HTTP', line) for line in lines]
        for pod, lines in recordings.read("clean").items()
    }
    logs = {
        pod: [_ONE_ID.sub(b'"constant"', line) for line in lines] for pod, lines in logs.items()
    }

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(logs, tmp_path)
    )

    assert summary(document)["verdicts"] == {"ambiguous": 497}
    assert [f["count"] for f in document["policies"][0]["findings"]] == [497]
    assert lines_add_up(document["lines"])


_ONE_KEY = re.compile(rb'"[A-Z]+ \S+ HTTP')
_ONE_ID = re.compile(rb'"[0-9a-f]{8}-[-0-9a-f]{27}"')


@pytest.mark.parametrize("scenario", ["clean", "toggled", "leak", "nosuffix_leak", "v2_outage"])
@pytest.mark.parametrize("authority", [b"10.0.80.175:3002", b"www.example.org"])
def test_a_service_may_be_called_by_any_name(
    scenario: str, authority: bytes, tmp_path: Path
) -> None:
    """By its address, or a gateway's `*`: the sender's cluster and the pods tell the service."""
    host, colon, port = authority.partition(b":")
    copied = b'"' + host + b"-shadow" + colon + port + b'"'
    logs = {
        pod: [
            line.replace(b'"forecast-shadow:3002"', copied).replace(
                b'"forecast:3002"', b'"' + authority + b'"'
            )
            for line in lines
        ]
        for pod, lines in recordings.read(scenario).items()
    }

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(logs, tmp_path)
    )

    assert summary(document) == recordings.EXPECTED[scenario]["with_senders"]


@pytest.mark.parametrize("senders", [True, False], ids=["with_senders", "without_senders"])
def test_probes_of_the_pods_are_no_requests(senders: bool, tmp_path: Path) -> None:
    """What calls a pod by its address, and no sender sent, concerns no policy."""
    logs = recordings.read("clean", senders=senders)
    probes = [
        line.replace(b'"forecast:3002"', b'"10.244.0.5:3002"').replace(b" /", b" /live/")
        for line in logs["forecast-v2-7b9c4d5e8-klmno"][:20]
    ]
    for pod in logs:
        if pod.startswith("forecast"):
            logs[pod] += probes

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(logs, tmp_path)
    )

    side = "with_senders" if senders else "without_senders"
    assert summary(document) == recordings.EXPECTED["clean"][side]
    assert document["lines"]["ignored"] == 80


def test_what_a_sender_could_not_route_is_no_arrival(tmp_path: Path) -> None:
    """The sender `frontend-v1` answers 404 itself: exempt, not live traffic at v1."""
    line = (
        b'[2026-11-22T15:11:42.902Z] "GET /nowhere HTTP/1.1" 404 NR route_not_found - "-" 0 0 0 -'
        b' "-" "curl/7.52.1" "46ce024f-97b3-4a45-8f73-2d4ef365608d" "forecast:3002" "-" - -'
        b" 10.0.80.175:3002 172.21.231.181:52340 - -\n"
    )
    logs = recordings.read("clean")
    logs["frontend-v1-6c9d8f7b5d-x2x7p"].append(line)

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(logs, tmp_path)
    )

    assert summary(document)["verdicts"] == {"matched": 497, "exempt": 1}


@pytest.mark.parametrize("senders", [True, False], ids=["with_senders", "without_senders"])
@pytest.mark.parametrize("ahead_ms", [-2000, -200, -50, -10, 10, 50, 200, 2000])
def test_a_pods_clock_makes_no_request(ahead_ms: int, senders: bool, tmp_path: Path) -> None:
    """Retries on a pod whose clock is off are still no requests of their own."""
    logs = recordings.read("retries", senders=senders)
    pod = next(name for name in logs if name.startswith("forecast-v2"))
    logs[pod] = [recordings.shift(line, ahead_ms) for line in logs[pod]]

    document = judge(
        recordings.POLICIES / "weather-mirror.yaml", recordings.write_plain(logs, tmp_path)
    )

    assert summary(document)["verdicts"] == {"matched": 501}


def test_evidence_names_the_line(tmp_path: Path) -> None:
    """A finding's evidence names pod, file and line, and the line is about that request."""
    logs = recordings.write_plain(recordings.read("leak"), tmp_path)

    document = judge(recordings.POLICIES / "weather-mirror.yaml", logs)

    findings = document["policies"][0]["findings"]
    assert len(findings) == 61
    for finding in findings:
        for place in finding["evidence"]:
            line = Path(place["file"]).read_text().splitlines()[place["line"] - 1]
            assert finding["request_id"] in line
            assert Path(place["file"]).name == f"{place['pod']}.log"


def run_check(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command as a user runs it."""
    command = [sys.executable, "-m", "verifier", "check", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


SEED = [
    b'[2023-11-11T02:52:51.492Z] "HEAD /weather?locate=hangzhou HTTP/1.1" 200 - via_upstream - "-"'
    b' 0 0 48 48 "-" "curl/7.52.1" "ce335861-1759-9f74-a029-14b5867fa41a" "forecast:3002"'
    b' "172.20.59.216:3002" outbound|3002|v2|forecast.weather.svc.cluster.local'
    b" 172.21.231.181:53720 10.0.80.175:3002 172.21.231.181:52340 - -",
    b'[2023-11-11T02:54:22.275Z] "HEAD /weather?locate=hangzhou HTTP/1.1" 504 UT response_timeout -'
    b' "-" 0 0 1000 - "-" "curl/7.52.1" "048762a0-f045-9d0c-8178-2675ac204600" "forecast:3002"'
    b' "172.20.59.216:3002" outbound|3002|v2|forecast.weather.svc.cluster.local'
    b" 172.21.231.181:53720 10.0.80.175:3002 172.21.231.181:53304 - -",
    b'[2023-11-11T02:58:39.187Z] "HEAD /weather?locate=hangzhou HTTP/1.1" 503 URX via_upstream -'
    b' "-" 0 0 372 372 "-" "curl/7.52.1" "351aabaf-b56b-9ec3-b45f-3b759b044ed9" "forecast:3002"'
    b' "172.20.59.216:3002" outbound|3002|v2|forecast.weather.svc.cluster.local'
    b" 172.21.231.181:57404 10.0.80.175:3002 172.21.231.181:56024 - -",
]


def test_three_lines_of_the_sender_are_three_missing(tmp_path: Path) -> None:
    """The sender's lines piped in, beside an empty log of v1, are three missing copies."""
    empty = tmp_path / "forecast-v1-5d8f9b7c6-abcde.log"
    empty.touch()
    policy = str(recordings.POLICIES / "weather-mirror.yaml")

    done = run_check(
        "--policy", policy, "--json", "frontend-v1-6c9d8f7b5d-x2x7p=-", str(empty),
        stdin=b"\n".join(SEED) + b"\n",
    )  # fmt: skip

    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr == b""
    assert summary(document)["verdicts"] == {"missing": 3}


def test_silence_of_a_log_that_was_not_given_proves_nothing() -> None:
    """Without any log of v1, nothing is known of the copies: not proven, exit status 3."""
    policy = str(recordings.POLICIES / "weather-mirror.yaml")

    done = run_check("--policy", policy, "--json", "frontend=-", stdin=b"\n".join(SEED))

    assert done.returncode == 3
    assert summary(json.loads(done.stdout))["verdicts"] == {"unverifiable": 3}


@pytest.mark.parametrize("scenario", ["clean", "v1_outage", "v2_outage"])
def test_exit_status_follows_the_statement(scenario: str, tmp_path: Path) -> None:
    """The command exits 0 when proven, 1 when violated, 3 when not proven."""
    logs = recordings.write_plain(recordings.read(scenario, senders=False), tmp_path)
    policy = str(recordings.POLICIES / "weather-mirror.yaml")

    done = run_check("--policy", policy, *logs)

    assert {"clean": 0, "v1_outage": 1, "v2_outage": 3}[scenario] == done.returncode
