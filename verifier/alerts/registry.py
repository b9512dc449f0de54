"""The endpoints in the database: known to whoever enqueues, with their state.

Those of the settings leave only name, filter and state there; those added through the API all of
it, sealed (`added`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from collector.errors import UsageError
from verifier.alerts.claims import lock
from verifier.alerts.endpoints import Endpoint
from verifier.alerts.outbox import State
from verifier.alerts.records import drop
from verifier.alerts.schedule import SPAN_US
from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.alerts.wants import Wants

SETTINGS: Final = "settings"
API: Final = "api"
_ENCODER: Final = msgspec.json.Encoder()
_E: Final = alert_endpoint.c
_M: Final = alert_message.c


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an endpoint; no secret. Times in µs by the database's clock; None: never.

    Attributes:
        name: What it is called.
        form: What it understands.
        origin: `settings` or `api`.
        wants: Which events it gets.
        disabled_us: When it was disabled; None: it is enabled.
        disabled_reason: Why.
        hold_us: Nothing is sent before then.
        failures: In a row.
        pending: Messages that were not accepted yet.
        oldest_us: When the oldest of them was written.
        repeating: Messages that are sent again and again.
        delivered: Messages accepted, ever.
        dead: Messages given up or refused, ever.
        last_attempt_us: Of any message.
        last_success_us: Of any message.
        last_reason: Outcome of the last attempt.
    """

    name: str
    form: str
    origin: str
    wants: Wants
    disabled_us: int | None
    disabled_reason: str | None
    hold_us: int | None
    failures: int
    pending: int
    oldest_us: int | None
    repeating: int
    delivered: int
    dead: int
    last_attempt_us: int | None
    last_success_us: int | None
    last_reason: str | None


def fingerprint(endpoint: Endpoint, key: bytes) -> str:
    """Tells whether an endpoint leads elsewhere now; `key` keeps guesses from being tried."""
    text = f"{endpoint.form}\0{endpoint.address.url}"
    return hashlib.blake2b(text.encode(), digest_size=16, key=key[:64]).hexdigest()


def declare(connection: Connection, given: Iterable[Endpoint], key: bytes, now_us: int) -> None:
    """Makes the endpoints of the settings known, or what changed of them.

    One that leads elsewhere now is enabled again. Others stay: another process may have them in
    its settings; `remove` ends them.

    Raises:
        UsageError: One of that name was added through the API.
    """
    for endpoint in given:
        mark = fingerprint(endpoint, key)
        told = {"form": endpoint.form, "wants": _ENCODER.encode(endpoint.wants).decode()}
        row = lock(connection, endpoint.name)
        if row is None:
            insert_endpoint(connection, endpoint, SETTINGS, mark, now_us)
            continue
        if row.origin != SETTINGS:
            raise UsageError(
                f"alerts.endpoints: {endpoint.name} was added through the API; rename one of them"
            )
        again = {} if row.fingerprint == mark else {"fingerprint": mark, **_FRESH}
        connection.execute(
            update(alert_endpoint).where(_E.name == endpoint.name).values(**told, **again)
        )


_FRESH: Final[Mapping[str, Any]] = {
    "disabled_us": None,
    "disabled_reason": None,
    "hold_us": None,
    "failures": 0,
}


def insert_endpoint(
    connection: Connection,
    endpoint: Endpoint,
    origin: str,
    mark: str,
    now_us: int,
    config: str | None = None,
) -> None:
    """Makes an endpoint known; `mark` is its fingerprint, `config` sealed."""
    values = {
        "name": endpoint.name,
        "origin": origin,
        "form": endpoint.form,
        "wants": _ENCODER.encode(endpoint.wants).decode(),
        "config": config,
        "fingerprint": mark,
        "created_us": now_us,
    }
    connection.execute(insert(alert_endpoint).values(values))


def disable(connection: Connection, name: str, reason: str, now_us: int) -> int:
    """Sends nothing more to an endpoint; returns how many messages are dropped by that.

    Raises:
        UsageError: There is no such endpoint.
    """
    _known(connection, name)
    values = {"disabled_us": now_us, "disabled_reason": reason}
    connection.execute(update(alert_endpoint).where(_E.name == name).values(values))
    return drop(connection, name, reason, now_us)


def enable(connection: Connection, name: str) -> None:
    """Sends to an endpoint again what happens from now on. Raises UsageError: there is none."""
    _known(connection, name)
    connection.execute(update(alert_endpoint).where(_E.name == name).values(**_FRESH))


def remove(connection: Connection, name: str, now_us: int) -> int:
    """Forgets an endpoint; returns how many messages are dropped by that.

    One that is in the settings of a verifier comes back when that starts.

    Raises:
        UsageError: There is no such endpoint.
    """
    _known(connection, name)
    dropped = drop(connection, name, "removed", now_us)
    connection.execute(delete(alert_endpoint).where(_E.name == name))
    return dropped


def _known(connection: Connection, name: str) -> None:
    if lock(connection, name) is None:
        raise UsageError(f"there is no endpoint {name!r}; `mirrorproof alert list` shows them")


def expire(connection: Connection, now_us: int) -> int:
    """Gives up messages to endpoints that no process delivers to; returns how many."""
    late_us = now_us - SPAN_US - SPAN_US // 4
    done = connection.execute(
        update(alert_message)
        .where(_M.finished_us.is_(None), _M.state == State.PENDING.value)
        .where(_M.created_us < late_us, _M.claimed_until_us.is_(None))
        .values(state=State.DEAD.value, finished_us=now_us, last_reason="nobody delivers to it")
    )
    return done.rowcount


def states(connection: Connection) -> list[EndpointState]:
    """All endpoints with their states, by name."""
    open_ = (
        select(
            _M.endpoint,
            func.count().filter(_M.state == State.PENDING.value).label("pending"),
            func.min(_M.created_us).filter(_M.state == State.PENDING.value).label("oldest_us"),
            func.count().filter(_M.state == State.REPEATING.value).label("repeating"),
        )
        .where(_M.finished_us.is_(None))
        .group_by(_M.endpoint)
        .subquery()
    )
    query = (
        select(alert_endpoint, open_.c.pending, open_.c.oldest_us, open_.c.repeating)
        .outerjoin_from(alert_endpoint, open_, open_.c.endpoint == _E.name)
        .order_by(_E.name)
    )
    return [
        EndpointState(
            name=row.name,
            form=row.form,
            origin=row.origin,
            wants=msgspec.json.decode(row.wants, type=Wants),
            disabled_us=row.disabled_us,
            disabled_reason=row.disabled_reason,
            hold_us=row.hold_us,
            failures=row.failures,
            pending=row.pending or 0,
            oldest_us=row.oldest_us,
            repeating=row.repeating or 0,
            delivered=row.delivered,
            dead=row.dead,
            last_attempt_us=row.last_attempt_us,
            last_success_us=row.last_success_us,
            last_reason=row.last_reason,
        )
        for row in connection.execute(query)
    ]
