"""How many live requests lines show (DESIGN section 3, *requests*)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import MANY
from tests.factories import attempt, client
from tests.unit.pairing.oracle import fewest_chains
from verifier.pairing.lines import Line
from verifier.pairing.requests import Requests, count_requests, fold_attempts

HORIZON_US = 5_000_000


def count(clients: list[Line], attempts: list[Line], bypassing: int = 0) -> Requests:
    """The requests that some lines show."""
    return count_requests(clients, attempts, bypassing, HORIZON_US)


def folded(*attempts: Line) -> int:
    """The fewest requests that explain some attempts."""
    return len(fold_attempts(list(attempts), HORIZON_US))


def test_a_client_line_is_one_request_whatever_it_retried() -> None:
    """Three attempts within one sender's line are one request, without any doubt."""
    attempts = [attempt(at=at, lasts=5, code=503) for at in (1, 30, 80)]

    found = count([client(lasts=100, code=503, flags="URX")], attempts)

    assert (found.firm, found.further) == (1, 0)


def test_without_client_lines_a_failure_and_the_next_attempt_are_one_or_two_requests() -> None:
    """The number is an interval from the folded attempts to all attempts."""
    found = count([], [attempt(code=503), attempt(at=20)])

    assert (found.firm, found.further) == (1, 1)


def test_two_successful_attempts_are_two_requests() -> None:
    """A success is never retried."""
    found = count([], [attempt(), attempt(at=20)])

    assert (found.firm, found.further) == (2, 0)


@pytest.mark.parametrize(
    ("code", "flags"), [(500, ""), (503, ""), (0, ""), (200, "UC"), (200, "UR"), (504, "UT")]
)
def test_server_errors_code_zero_and_resets_are_failures(code: int, flags: str) -> None:
    """5xx, code 0 and reset flags make a proxy try again."""
    assert folded(attempt(code=code, flags=flags), attempt(at=20)) == 1


@pytest.mark.parametrize("code", [200, 301, 404, 409, 429])
def test_other_answers_are_no_failures(code: int) -> None:
    """What is not retried by default is a request of its own."""
    assert folded(attempt(code=code), attempt(at=20)) == 2


def test_an_attempt_after_the_horizon_is_no_retry() -> None:
    """A retry follows within the horizon."""
    late = attempt(at=5_010)

    assert folded(attempt(at=0, lasts=9, code=503), late) == 2
    assert folded(attempt(at=0, lasts=10, code=503), late) == 1


def test_an_attempt_that_runs_beside_a_failure_is_no_retry_of_it() -> None:
    """A retry starts after the failed attempt has ended, apart from clock differences."""
    slow_failure = attempt(at=0, lasts=500, code=503)

    assert folded(slow_failure, attempt(at=400)) == 2
    assert folded(slow_failure, attempt(at=460)) == 1


def test_a_success_repairs_a_failure_of_another_pod_whose_clock_is_ahead() -> None:
    """Clocks of two pods differ by some ms; within one pod the order is sure."""
    success = attempt(at=0, lasts=5)

    assert folded(success, attempt(at=30, code=503, pod=22)) == 1
    assert folded(success, attempt(at=60, code=503, pod=22)) == 2
    assert folded(success, attempt(at=30, code=503)) == 2
    assert folded(success, attempt(at=30, code=503, pod=22), attempt(at=31, pod=22)) == 2


def test_the_failures_before_a_success_are_chained_whatever_the_clocks() -> None:
    """Tries alternate between two pods, and one clock is 30 ms ahead."""
    first, third = attempt(at=30, code=503, pod=22), attempt(at=70, code=503, pod=22)

    assert folded(first, attempt(at=20, code=503), third, attempt(at=60)) == 1


def test_two_failures_and_one_success_are_two_requests_at_least() -> None:
    """One attempt is the retry of one failure only."""
    assert folded(attempt(code=503), attempt(code=503), attempt(at=20)) == 1
    assert folded(attempt(lasts=400, code=503), attempt(lasts=400, code=503), attempt(at=420)) == 2


def test_attempt_numbers_decide() -> None:
    """Two first attempts are two requests, and no further ones are possible."""
    both_first = count([], [attempt(code=503, attempt=1), attempt(at=20, attempt=1)])
    retried = count([], [attempt(code=503, attempt=1), attempt(at=20, attempt=2)])

    assert (both_first.firm, both_first.further) == (2, 0)
    assert (retried.firm, retried.further) == (1, 0)


def test_an_attempt_that_never_reached_the_primary_leaves_a_gap_in_the_numbers() -> None:
    """Attempt 2 of 3 failed to connect: 1 and 3 are still one request."""
    assert folded(attempt(code=503, attempt=1), attempt(at=40, attempt=3)) == 1


def test_numbers_prove_the_retry_of_an_answer_that_is_not_retried_by_default() -> None:
    """A policy may retry 409 or 429; a success is not retried by any."""
    assert folded(attempt(code=409, attempt=1), attempt(at=20, attempt=2)) == 1
    assert folded(attempt(code=200, attempt=1), attempt(at=20, attempt=2)) == 2


def test_more_attempts_than_senders_lines_are_further_requests() -> None:
    """The sender's line of a second request was lost, or its sender logs nothing."""
    found = count([client()], [attempt(), attempt(at=3)])

    assert (found.firm, found.further) == (2, 0)


def test_the_unseen_request_is_the_one_outside_every_senders_line() -> None:
    """Evidence names the attempt that no sender's line covers."""
    outside = attempt(at=900)

    found = count([client()], [attempt(), outside])

    assert found.lines[-1] is outside


def test_an_attempt_outside_every_senders_line_may_be_a_further_request() -> None:
    """It counts as a doubt when the sender's line could stand for it all the same."""
    found = count([client()], [attempt(at=900)])

    assert (found.firm, found.further) == (1, 1)


def test_a_request_that_never_connected_owes_nothing() -> None:
    """UF, UO: copied or not, both are legal."""
    found = count([client(code=503, flags="UF"), client(code=503, flags="URX,UF")], [])

    assert (found.firm, found.not_connected) == (0, 2)


def test_a_request_whose_retry_failed_to_connect_was_sent() -> None:
    """The sender says UF, yet an attempt reached the primary: the copy is owed."""
    found = count([client(code=503, flags="URX,UF")], [attempt(code=503)])

    assert (found.firm, found.not_connected) == (1, 0)


def test_an_abandoned_request_owes_nothing_whether_or_not_the_primary_logged_it() -> None:
    """The client's leaving may have cut the copy short."""
    left = client(code=0, flags="DC")

    assert (count([left], []).firm, count([left], []).abandoned) == (0, 1)
    assert (count([left], [attempt()]).firm, count([left], [attempt()]).abandoned) == (0, 1)


def test_without_senders_an_attempt_that_was_cut_off_is_an_abandoned_request() -> None:
    """Only the primary's line tells, and it says that the stream was reset."""
    found = count([], [attempt(code=0, flags="DC")])

    assert (found.firm, found.abandoned) == (0, 1)


@pytest.mark.parametrize("flags", ["NR", "UH", "FI", "RL", "UAEX", "NC", "DPE"])
def test_what_a_sender_answers_before_routing_is_exempt(flags: str) -> None:
    """No copy is made of it."""
    found = count([client(code=503, flags=flags)], [])

    assert (found.firm, len(found.exempt)) == (0, 1)


def test_upgrades_are_exempt_on_both_sides() -> None:
    """Envoy mirrors neither CONNECT nor upgrades; the primary's line is the same request."""
    with_sender = count([client(code=101)], [attempt(code=101)])
    without = count([], [attempt(code=101)])

    assert (with_sender.certain, len(with_sender.exempt)) == (1, 1)
    assert (without.certain, len(without.exempt)) == (1, 1)


def test_a_refusal_by_the_primary_itself_is_a_request_that_owes_its_copy() -> None:
    """The sender routed and copied it, whatever the primary's proxy answered."""
    found = count([], [attempt(code=403, flags="UAEX")])

    assert (found.firm, len(found.exempt)) == (1, 0)


def test_a_line_on_another_route_explains_one_attempt() -> None:
    """That request bypassed the mirror."""
    found = count([], [attempt(), attempt(at=5)], bypassing=1)

    assert (found.firm, found.bypassed, found.certain) == (1, 1, 2)


def test_a_line_on_another_route_without_an_attempt_is_no_request_here() -> None:
    """It went to some other version."""
    assert count([client()], [], bypassing=2).certain == 1


def test_every_certain_request_has_its_line() -> None:
    """Findings need a line to name."""
    clients = [client(), client(code=503, flags="UF"), client(code=0, flags="DC")]

    found = count(clients, [attempt(), attempt(at=2), attempt(at=4), attempt(at=6)])

    assert len(found.lines) == found.firm + found.optional
    assert len(found.statuses) == found.firm


ATTEMPTS = st.lists(
    st.builds(
        attempt,
        at=st.sampled_from([0, 1, 40, 60, 120, 5_020, 5_100]),
        lasts=st.sampled_from([0, 20, 70, 200]),
        code=st.sampled_from([200, 503, 503]),
    ),
    max_size=6,
)


@settings(max_examples=120 * MANY)
@given(ATTEMPTS)
def test_folding_is_the_best_there_is(attempts: list[Line]) -> None:
    """As few requests as any way of chaining the attempts gives."""
    assert folded(*attempts) == fewest_chains(attempts, HORIZON_US)


@settings(max_examples=100 * MANY)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_numbered_attempts_of_real_requests_fold_to_those_requests(tries, random) -> None:
    """A page that calls at once, each call with its own retries, every attempt numbered."""
    lines = []
    for start, number in enumerate(tries):
        for n in range(1, number + 1):
            code = 200 if n == number else 503
            lines.append(attempt(at=start + 30 * n, lasts=20, code=code, attempt=n))
    random.shuffle(lines)

    found = count([], lines)

    assert (found.firm, found.further) == (len(tries), 0)


@settings(max_examples=60 * MANY)
@given(ATTEMPTS)
def test_the_order_of_attempts_changes_nothing(attempts: list[Line]) -> None:
    """Kafka does not keep the order across partitions."""
    found = {
        tuple((line.pod, line.line_id) for line in fold_attempts(list(order), HORIZON_US))
        for order in itertools.islice(itertools.permutations(attempts), 0, 720, 37)
    }

    assert len(found) == 1
