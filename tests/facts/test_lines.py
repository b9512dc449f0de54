"""Cases that no proxy makes by itself: real lines, changed as shippers, clocks and formats do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests import recordings
from tests.facts import both
from tests.recordings import shift, to_json
from verifier.pairing.lines import Reason

pytestmark = pytest.mark.integration
POLICY = both.policy_of("names")
V1, V2, SENDER = "forecast-v1", "forecast-v2", "frontend"
CALLS = 86

Judge = Callable[..., both.Said]
Lines = dict[str, list[bytes]]


@pytest.fixture
def judge(migrated_sqlite_url: str, tmp_path: Path) -> Judge:
    """What `check` and the live pipeline say, which is the same."""
    return lambda logs, same_paths=True: both.judged(
        migrated_sqlite_url, POLICY, logs, tmp_path, same_paths=same_paths
    )


def quiet() -> Lines:
    """86 calls that were all copied, without `-shadow`, and nothing else."""
    return both.read("names")


def changed(logs: Lines, pods: str, change: Callable[[bytes], Iterable[bytes]]) -> Lines:
    """Logs with each line of some pods changed."""
    return {
        pod: [new for line in lines for new in (change(line) if pod.startswith(pods) else [line])]
        for pod, lines in logs.items()
    }


def worded(reason: Reason) -> str:
    """A reason as people read it."""
    return reason.value.format(mirror="v1")


def test_f01_single_lines_lost_in_shipping_are_log_loss(judge: Judge) -> None:
    """A twentieth of all receivers' lines is lost: no copy is called missing."""
    dice = random.Random(5)
    logs = changed(quiet(), "forecast", lambda line: [line] if dice.random() > 0.05 else [])

    said = judge(logs)

    assert "missing" not in said.verdicts
    assert said.reasons == {worded(Reason.LOG_LOSS)}
    assert said.statement == "not_proven"


def test_f01_a_mirror_that_loses_more_than_the_control_group_misses_copies(judge: Judge) -> None:
    """One line of v2 lacks and forty of v1: chance explains sixteen of those, not the others."""
    logs = quiet()
    first_v2 = next(pod for pod in logs if pod.startswith(V2))
    logs = logs | {first_v2: logs[first_v2][1:]}
    logs |= {pod: lines[20:] for pod, lines in logs.items() if pod.startswith(V1)}

    said = judge(logs, same_paths=False)  # which of those at one time are in doubt is arbitrary

    assert said.statement == "violated"
    assert said.verdicts["missing"] == 24


@pytest.mark.parametrize("ahead_ms", [-1_900, -40, 700, 1_900])
def test_f06_clocks_change_no_verdict(ahead_ms: int, judge: Judge) -> None:
    """v1's clock is ahead of the others', or behind."""
    said = judge(changed(quiet(), V1, lambda line: [shift(line, ahead_ms)]))

    assert said.verdicts == {"matched": CALLS}


def test_f07_lines_that_come_twice_count_once(judge: Judge) -> None:
    """A shipper that reads its files again is no second copy."""
    said = judge(changed(quiet(), "", lambda line: [line, line]))

    assert said.verdicts == {"matched": CALLS}


def test_f12_what_a_killed_proxy_did_not_write_is_unverifiable(tmp_path: Path) -> None:
    """Without the word that logs are complete, nothing beyond a pod's last line is known."""
    files = both.write(both.read("killed_v1"), tmp_path)

    (said,) = both.by_check(both.policy_of("killed_v1"), files, assume_complete=False).values()

    assert sum(said.paths("unverifiable").values()) >= 20
    assert said.paths("missing") == {}
    assert worded(Reason.MIRROR_LOG_INCOMPLETE) in said.reasons


@pytest.mark.parametrize("kept", [115, 200])
def test_f16_lines_cut_off_may_be_the_copies(kept: int, judge: Judge) -> None:
    """Five copies' lines are cut behind the path, or behind the id: no copy is missing."""
    logs = quiet()
    pod = next(pod for pod in logs if pod.startswith(V1))
    cut = [line[:kept].rstrip() + b"\n" for line in logs[pod][:5]]

    said = judge(logs | {pod: [*cut, *logs[pod][5:]]})

    assert said.verdicts == {"matched": CALLS - 5, "unverifiable": 5}
    assert said.reasons == {worded(Reason.MIRROR_UNREADABLE)}


def test_f16_a_cut_line_excuses_no_other_copy(judge: Judge) -> None:
    """Two lines are cut, five more lack: five are missing."""
    logs = quiet()
    pod = next(pod for pod in logs if pod.startswith(V1))
    cut = [line[:200].rstrip() + b"\n" for line in logs[pod][:2]]

    said = judge(logs | {pod: [*cut, *logs[pod][7:]]}, same_paths=False)

    assert said.verdicts == {"matched": CALLS - 7, "unverifiable": 2, "missing": 5}


def test_f28_a_mirror_whose_log_does_not_come_is_silent(judge: Judge) -> None:
    """Its logging may be off: nothing is called missing."""
    said = judge({pod: lines for pod, lines in quiet().items() if not pod.startswith(V1)})

    assert said.verdicts == {"unverifiable": CALLS}
    assert said.reasons == {worded(Reason.MIRROR_SILENT)}


def _floats(fields: dict[str, Any]) -> dict[str, Any]:
    """As Istio 1.22.0 to 1.22.2 write numbers."""
    return {k: float(v) if isinstance(v, int) else v for k, v in fields.items()}


def _sparse(fields: dict[str, Any]) -> dict[str, Any]:
    """As `omit_empty_values` leaves fields out, with a cluster of Istio 1.23.0."""
    kept = {k: v for k, v in fields.items() if v not in (None, "-")}
    return kept | {"upstream_cluster": fields["upstream_cluster"] + ";"}


def _texts(fields: dict[str, Any]) -> dict[str, Any]:
    """As Istio before 1.8 writes everything."""
    return {k: "-" if v is None else str(v) for k, v in fields.items()}


@pytest.mark.parametrize("form", [_floats, _sparse, _texts])
def test_f30_json_of_other_versions_says_the_same(form: Any, judge: Judge) -> None:
    """An upgrade of one side changes types and keys, and no verdict."""

    def rewritten(line: bytes) -> list[bytes]:
        return [json.dumps(form(json.loads(to_json(line)))).encode() + b"\n"]

    said = judge(changed(quiet(), V1, rewritten))

    assert said.verdicts == {"matched": CALLS}


def test_f31_copies_of_copies_are_duplicates(judge: Judge) -> None:
    """v1's own route mirrors on to v1: a second copy, from another proxy."""

    def twice(line: bytes) -> list[bytes]:
        onward = line.replace(b'"192.0.2.2"', b'"192.0.2.2,192.0.2.7"', 1)
        return [line, onward.replace(b"192.0.2.2:0 ", b"192.0.2.7:0 ")]

    logs = {
        pod: [line for line in lines if b'"GET /plain/' in line] for pod, lines in quiet().items()
    }
    said = judge(changed(logs, V1, twice))

    assert said.verdicts == {"matched": 56, "duplicate": 56}
    assert said.reasons == {worded(Reason.SURPLUS)}


def test_f34_times_without_a_zone_are_refused(judge: Judge) -> None:
    """v1 logs local time: its lines cannot be read, and no copy is called missing."""

    def local(line: bytes) -> list[bytes]:
        return [line[:11] + b" " + line[12:24].replace(b"Z", b"") + line[25:]]

    said = judge(changed(quiet(), V1, local))

    assert "missing" not in said.verdicts
    assert said.verdicts["unverifiable"] == CALLS


def test_f29_forged_fields_are_ambiguous_by_check_and_live(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """Quotes in a user agent make a line that can be read in two ways, never evidence."""
    policy = recordings.POLICIES / "weather-mirror.yaml"

    said = both.judged(
        migrated_sqlite_url, policy, recordings.read("hostile"), tmp_path, same_paths=False
    )

    assert said.verdicts == {"matched": 696, "ambiguous": 206}
    assert said.reasons == {worded(Reason.EXTRA_QUOTES)}


@pytest.mark.parametrize("version", [V1, V2])
def test_what_a_pod_of_unknown_version_received_is_unverifiable(version: str, judge: Judge) -> None:
    """One of v1's pods may have the copies that lack; one of v2's leaves every copy matched."""
    logs = quiet()
    pod = next(pod for pod in logs if pod.startswith(version))
    logs["forecast-77cfbd95d8-abcde"] = logs.pop(pod)

    said = judge(logs)

    reason = Reason.UNKNOWN_VERSION if version == V1 else Reason.UNKNOWN_RECEIVER
    assert said.statement == "not_proven"
    assert said.reasons == {worded(reason)}
    assert "missing" not in said.verdicts
    assert (said.verdicts["matched"] == CALLS) == (version == V2)


@pytest.mark.parametrize(
    "name", ["billing-77cfbd95d8-abcde", "istio-ingressgateway-5d8f9b7c6-aaaaa"]
)
def test_a_receiver_of_another_service_leaves_all_proven(name: str, judge: Judge) -> None:
    """A gateway, or a sidecar that gets the service's authority on the way, is none of its pods."""
    logs = quiet()
    pod = next(pod for pod in logs if pod.startswith(V2))
    logs[name] = logs[pod]

    assert judge(logs).verdicts == {"matched": CALLS}
