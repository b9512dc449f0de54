"""When a message is tried again, and when an endpoint gets a rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifier.alerts.outcome import Outcome, Result, failed
from verifier.alerts.schedule import (
    SPAN_US,
    TRIPS_AT,
    WAITS_US,
    Rest,
    at_once,
    next_attempt_at,
    rest_after,
)

S = 1_000_000
NOW = 1_764_000_000 * S
OK = Result(outcome=Outcome.DELIVERED, reason="200 OK")


def attempts_of(spread: float) -> list[int]:
    """Times of all attempts of a message that nobody takes, from when it was written, in s."""
    found, at_us = [], NOW
    while at_us is not None:
        found.append((at_us - NOW) // S)
        at_us = next_attempt_at(len(found), NOW, at_us, spread)  # type: ignore[assignment]
    return found


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    """Ten attempts in three days and four hours."""
    assert attempts_of(0.0) == [
        *(0, 5, 305, 2_105, 9_305, 27_305, 63_305, 113_705, 185_705, 272_105)
    ]


@given(st.floats(0, 1))
def test_jitter_changes_no_number_of_attempts(spread: float) -> None:
    """Waits become up to a tenth longer, never shorter."""
    plain, found = attempts_of(0.0), attempts_of(spread)

    assert len(found) == len(plain)
    assert all(a <= b <= a * 1.1 + 1 for a, b in zip(plain, found, strict=True))


def test_retry_after_makes_a_wait_longer_never_shorter() -> None:
    """The receiver knows best when it can take something, not how often we must try."""
    assert next_attempt_at(1, NOW, NOW, 0.0, retry_after_us=60 * S) == NOW + 60 * S
    assert next_attempt_at(2, NOW, NOW, 0.0, retry_after_us=60 * S) == NOW + 300 * S


def test_waits_can_be_limited() -> None:
    """Alertmanager has to hear again before it takes an alert for over."""
    assert next_attempt_at(9, NOW, NOW, 0.0, longest_wait_us=60 * S) == NOW + 60 * S
    assert next_attempt_at(1, NOW, NOW, 0.0, longest_wait_us=60 * S) == NOW + 5 * S


def test_what_is_too_old_is_given_up() -> None:
    """By its age, so that an attempt more, for newer news, does not end it early."""
    assert next_attempt_at(1, NOW - SPAN_US, NOW, 0.0) is None
    assert next_attempt_at(99, NOW - SPAN_US + 1, NOW, 0.0) == NOW + WAITS_US[-1]


# --- the breaker


def fail(times: int, result: Result | None = None) -> Rest:
    """State after so many failures, each at NOW."""
    rest = Rest()
    for _ in range(times):
        rest = rest_after(rest, result or failed("time-out"), NOW, 0.0)
    return rest


def test_the_breaker_opens_after_some_failures_in_a_row() -> None:
    """From then on the rest doubles, up to five minutes."""
    assert fail(TRIPS_AT - 1) == Rest(TRIPS_AT - 1, None)
    rests = [fail(TRIPS_AT + more).hold_us for more in range(7)]

    assert [(at or 0) - NOW for at in rests] == [s * S for s in (15, 30, 60, 120, 240, 300, 300)]
    assert fail(10_000).hold_us == NOW + 300 * S


def test_an_open_breaker_lets_one_message_try() -> None:
    """It tells whether the receiver is back."""
    assert at_once(TRIPS_AT - 1, 4) == 4
    assert at_once(TRIPS_AT, 4) == 1


def test_any_answer_to_the_message_closes_the_breaker() -> None:
    """A receiver that refuses one message is alive."""
    refused = Result(outcome=Outcome.REFUSED, reason="400 Bad Request", status=400)

    for result in (OK, refused):
        assert rest_after(fail(9), result, NOW, 0.0) == Rest()


def test_a_throttling_receiver_gets_nothing_for_as_long_as_it_asks() -> None:
    """Nor for some seconds, where it does not say."""
    throttled = Result(outcome=Outcome.THROTTLED, reason="429 Too Many Requests", status=429)
    asking = Result(outcome=Outcome.THROTTLED, reason="429", status=429, retry_after_us=90 * S)

    assert fail(1, throttled) == Rest(1, NOW + 5 * S)
    assert fail(1, asking) == Rest(1, NOW + 90 * S)


def test_an_interrupted_attempt_says_nothing() -> None:
    """We ended, not the receiver."""
    interrupted = Result(outcome=Outcome.INTERRUPTED, reason="we end")

    assert rest_after(fail(7), interrupted, NOW, 0.0) == fail(7)
