"""Silence: a quiet mirror, told from a mirror whose log does not arrive."""

from __future__ import annotations

from typing import Any

from collector.records import Identity
from verifier.pairing.lines import Reason
from verifier.settle.cluster_pods import ClusterLife
from verifier.settle.silence import HOUR_US, Silence
from verifier.settle.windows import Span

T = 1_000 * HOUR_US + 5_000_000
HERE = T // HOUR_US * HOUR_US
HORIZON = 5_000_000


def silence(**fields: Any) -> Silence:
    """Two mirror pods on two nodes, both alive until now."""
    values: dict[str, Any] = {
        "mirrors": ((1, 2),),
        "pods": {1: Identity("a", node="n1"), 2: Identity("b", node="n2")},
        "hours": {1: (HERE,), 2: (HERE,)},
        "node_life": {("", "n1"): T + HORIZON, ("", "n2"): T + HORIZON},
        "horizon_us": HORIZON,
    }
    return Silence(**(values | fields))


def test_what_lacks_on_living_nodes_is_missing() -> None:
    """Both nodes' logs were alive when the copy should have been written."""
    assert silence().hole(0, T) is None


def test_a_dead_node_leaves_a_hole() -> None:
    """Nobody knows whether the copy arrived there."""
    dead = silence(node_life={("", "n1"): T + HORIZON, ("", "n2"): T})

    assert dead.hole(0, T) is Reason.MIRROR_LOG_INCOMPLETE


def test_a_pod_without_node_is_as_alive_as_its_partition() -> None:
    """Shippers that name no node prove nothing by it."""
    pods = {1: Identity("a"), 2: Identity("b", node="n2")}

    assert silence(pods=pods).hole(0, T) is None


def test_a_pod_not_seen_for_an_hour_does_not_count() -> None:
    """It was scaled down: its dead node makes no hole."""
    scaled_down = silence(
        hours={1: (HERE,), 2: (HERE - 2 * HOUR_US,)}, node_life={("", "n1"): T + HORIZON}
    )

    assert scaled_down.hole(0, T) is None


def test_a_mirror_switched_off_for_hours_still_misses_copies() -> None:
    """Its last pods count on while their nodes live: drift must not heal by time."""
    quiet = silence(hours={1: (HERE - 9 * HOUR_US,), 2: (HERE - 20 * HOUR_US,)})

    assert quiet.hole(0, T) is None


def test_a_mirror_that_never_logged_is_silent() -> None:
    """Mirroring is off, or its logs do not arrive."""
    assert silence(mirrors=((),)).hole(0, T) is Reason.MIRROR_SILENT


def test_a_mirror_whose_log_was_given_as_a_file_is_not_silent() -> None:
    """An empty file is a complete log."""
    assert silence(mirrors=((),), filed=frozenset({0})).hole(0, T) is None


def test_a_window_waits_until_the_nodes_prove_alive() -> None:
    """It is over once they lived a horizon after the last doubt."""
    dead = silence(node_life={("", "n1"): T + HORIZON})
    waits = dead.recheck_us([(Reason.MIRROR_LOG_INCOMPLETE, T)])

    assert waits == T + HORIZON
    assert not dead.is_over(waits, T)
    assert silence().is_over(waits, T)


def test_a_window_of_a_silent_mirror_waits_for_its_first_word() -> None:
    """It does not look again and again while nothing changed."""
    silent = silence(mirrors=((1, 2), ()))
    waits = silent.recheck_us([(Reason.MIRROR_SILENT, T)])

    assert waits is not None
    assert not silent.is_over(waits, T)
    assert silence(mirrors=((1, 2), (1,))).is_over(waits, T)


def test_a_window_without_doubts_waits_for_nothing() -> None:
    """Nothing is flagged."""
    assert silence().recheck_us([]) is None


def test_a_gap_is_a_hole_for_all_whose_lines_may_be_in_it() -> None:
    """Also for a mirror whose log is alive; a minute is left for shipping."""
    minute = 60_000_000
    alive = {("", node): T + 10 * minute for node in ("n1", "n2")}
    gap = silence(gaps=((T, T + minute),), node_life=alive)

    for start in (T - minute, T, T + minute):
        assert gap.hole(0, start) is Reason.PASSED_OVER
    for start in (T - 2 * minute, T + minute + 1):
        assert gap.hole(0, start) is None
    assert not gap.is_clear(Span(T - minute, T - minute + 10_000_000))
    assert gap.recheck_us([(Reason.PASSED_OVER, T)]) is None


def life(name: str, node: str, started_us: int = 0, ended_us: int | None = None) -> ClusterLife:
    """A pod as the cluster has it."""
    return ClusterLife(Identity(name, node=node), started_us, ended_us)


def test_a_pod_that_ended_in_the_cluster_makes_no_hole() -> None:
    """Nothing reached it any more, however its node died."""
    dead = {("", "n1"): T + HORIZON, ("", "n2"): 0}
    lives = {2: [life("b", "n2", ended_us=T - HORIZON - 1)]}

    assert silence(node_life=dead, lives=lives).hole(0, T) is None
    assert silence(node_life=dead, lives={2: [life("b", "n2", ended_us=T)]}).hole(0, T)


def test_the_end_of_all_pods_is_no_evidence() -> None:
    """Those that logged count on: the cluster's word alone makes nothing missing."""
    dead = {("", "n1"): 0, ("", "n2"): 0}
    gone = {1: [life("a", "n1", ended_us=0)], 2: [life("b", "n2", ended_us=0)]}

    assert silence(node_life=dead, lives=gone).hole(0, T) is Reason.MIRROR_LOG_INCOMPLETE


def test_a_pod_that_runs_and_never_logged_may_have_received_the_copy() -> None:
    """On a dead node its log may lack; where shippers name no nodes nothing shows that."""
    pods = {1: Identity("a", node="n1"), -1: Identity("c", node="n3")}
    known: dict[str, Any] = {
        "mirrors": ((1,),),
        "pods": pods,
        "unheard": [[-1]],
        "lives": {-1: [life("c", "n3", T - HOUR_US)]},
    }

    assert silence(**known).hole(0, T) is Reason.MIRROR_LOG_INCOMPLETE
    assert silence(**known).in_doubt(0, T) == [-1]
    assert silence(**known).hole(0, T - 2 * HOUR_US) is None
    alive = {("", "n1"): T + HORIZON, ("", "n3"): T + HORIZON}
    assert silence(**known, node_life=alive).hole(0, T) is None
    assert silence(**(known | {"pods": {**pods, 1: Identity("a")}})).hole(0, T) is None
