"""What became of what was sent: the message's next time or its end, and the endpoint's state.

Success is recorded only after the receiver said so. A claim that expired records nothing: whoever
holds the next one does.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, update

from verifier.alerts.claims import Claim, lock
from verifier.alerts.outbox import State
from verifier.alerts.outcome import Outcome, Result
from verifier.alerts.repeat import Repeat
from verifier.alerts.schedule import Rest, next_attempt_at, rest_after
from verifier.alerts.tables import alert_endpoint, alert_message

_M: Final = alert_message.c
_JUST_US: Final = 60_000_000
"""A receiver that comes and goes would else get everything again upon each success."""


def record(
    connection: Connection,
    done: Claim,
    result: Result,
    now_us: int,
    *,
    spread: float = 0.0,
    repeat: Repeat | None = None,
) -> State | None:
    """Writes down what became of an attempt; returns the message's state.

    Args:
        connection: In a write transaction of its own.
        done: What was sent.
        result: What came of it.
        now_us: The database's clock.
        spread: For the jitter, between 0 and 1.
        repeat: Of the endpoint's form.

    Returns:
        None: the claim had expired, and another one holds.
    """
    endpoint = lock(connection, done.endpoint)
    values = _after(done, result, now_us, spread, repeat)
    written = connection.execute(
        update(alert_message)
        .where(_M.id == done.id, _M.attempts == done.attempt, _M.finished_us.is_(None))
        .where(_M.claimed_until_us.is_not(None))
        .values(values)
    )
    if written.rowcount != 1 or endpoint is None:
        return None
    state = State(values["state"])
    if result.outcome is not Outcome.INTERRUPTED:
        _record_endpoint(connection, endpoint, done, result, state, now_us, spread)
    if result.outcome is Outcome.DELIVERED:
        _finish_older(connection, done, now_us)
        if endpoint.failures:
            _wake(connection, done.endpoint, now_us)
    if result.outcome is Outcome.GONE:
        drop(connection, done.endpoint, result.reason, now_us)
    return state


def _after(
    done: Claim, result: Result, now_us: int, spread: float, repeat: Repeat | None
) -> dict[str, Any]:
    """What an attempt makes of the message's row."""
    row: dict[str, Any] = {"claimed_until_us": None}
    repeating = State.REPEATING if done.delivered_us is not None else State.PENDING
    if result.outcome is Outcome.INTERRUPTED:
        return row | {"state": repeating.value, "next_us": now_us}
    row |= {"last_reason": result.reason, "last_status": result.status}
    if result.outcome is Outcome.DELIVERED:
        first_us = done.delivered_us or now_us
        again_us = repeat.next_us(done.event, first_us, now_us) if repeat else None
        state = State.DELIVERED if again_us is None else State.REPEATING
        row["delivered_us"] = first_us
    elif done.delivered_us is not None and repeat is not None:
        again_us = repeat.next_us(done.event, done.delivered_us, now_us)
        state = State.DELIVERED if again_us is None else State.REPEATING
    else:
        again_us = _again_us(done, result, now_us, spread, repeat)
        state = State.DEAD if again_us is None else State.PENDING
    row["state"] = state.value
    return row | ({"finished_us": now_us} if again_us is None else {"next_us": again_us})


def _again_us(
    done: Claim, result: Result, now_us: int, spread: float, repeat: Repeat | None
) -> int | None:
    if result.outcome in (Outcome.REFUSED, Outcome.GONE):
        return None
    return next_attempt_at(
        done.attempt,
        done.created_us,
        now_us,
        spread,
        retry_after_us=result.retry_after_us,
        longest_wait_us=repeat.every_us if repeat else None,
    )


def _record_endpoint(
    connection: Connection,
    endpoint: Any,
    done: Claim,
    result: Result,
    state: State,
    now_us: int,
    spread: float,
) -> None:
    rest = rest_after(Rest(endpoint.failures, endpoint.hold_us), result, now_us, spread)
    success = result.outcome is Outcome.DELIVERED
    values = {
        "failures": rest.failures,
        "hold_us": rest.hold_us,
        "last_attempt_us": now_us,
        "last_reason": result.reason,
        "last_success_us": now_us if success else endpoint.last_success_us,
        "delivered": endpoint.delivered + int(success and done.delivered_us is None),
        "dead": endpoint.dead + int(state is State.DEAD),
    }
    if result.outcome is Outcome.GONE:
        values |= {"disabled_us": now_us, "disabled_reason": result.reason}
    connection.execute(
        update(alert_endpoint).where(alert_endpoint.c.name == done.endpoint).values(values)
    )


def _finish_older(connection: Connection, done: Claim, now_us: int) -> None:
    """What was repeated of the incident is told no more: there is something newer."""
    connection.execute(
        update(alert_message)
        .where(_M.endpoint == done.endpoint, _M.incident_id == done.event.incident_id)
        .where(_M.id < done.id, _M.state == State.REPEATING.value, _M.finished_us.is_(None))
        .values(state=State.DELIVERED.value, finished_us=now_us, claimed_until_us=None)
    )


def _wake(connection: Connection, name: str, now_us: int) -> None:
    """A receiver that is back gets at once what waited for it, but for what it just refused."""
    connection.execute(
        update(alert_message)
        .where(_M.endpoint == name, _M.finished_us.is_(None), _M.next_us > now_us)
        .where(_M.state == State.PENDING.value, _M.claimed_until_us.is_(None))
        .where(_M.last_attempt_us <= now_us - _JUST_US)
        .values(next_us=now_us)
    )


def drop(connection: Connection, name: str, reason: str, now_us: int) -> int:
    """Ends all that is still to be sent to an endpoint; returns how many messages that is."""
    done = connection.execute(
        update(alert_message)
        .where(_M.endpoint == name, _M.finished_us.is_(None))
        .values(
            state=State.DROPPED.value,
            finished_us=now_us,
            claimed_until_us=None,
            last_reason=f"endpoint disabled: {reason}",
        )
    )
    return done.rowcount
