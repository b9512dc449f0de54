"""Empties the outbox: a loop that looks for what is due, and threads of each endpoint's own.

A receiver that is slow keeps its own threads busy, and nobody else's. Several processes may
deliver: each message is claimed by one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, wait
from threading import Event as Flag
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import SystemClock
from collector.db.engine import as_our_error, reading, writing
from collector.db.secrets import request_key_secret
from collector.errors import MirrorproofError, Retryable
from collector.log import Throttle, get_logger
from collector.service.backoff import Backoff
from collector.settings import Settings
from verifier.alerts import claims, registry
from verifier.alerts.added import added, note_closed, seal_again
from verifier.alerts.claims import Claim
from verifier.alerts.endpoints import Endpoint, all_of_settings
from verifier.alerts.forms import REPEATS
from verifier.alerts.lanes import Lane
from verifier.alerts.lines import Lines
from verifier.alerts.outbox import State
from verifier.alerts.outcome import Outcome, Result, failed
from verifier.alerts.parts import Parts
from verifier.alerts.records import record
from verifier.alerts.senders import OnAttempt, Senders, ignore
from verifier.alerts.vault import vault_of

_RECORD_S: Final = 25.0
"""So long it is tried to record an attempt while the database is away; then it goes out again."""
_LEASE_MORE_S: Final = 30.0
"""A claim holds so much longer than an attempt may take; more than `_RECORD_S`."""
_CUT_S: Final = 5.0
_REFRESH_S: Final = 5.0
"""How often to look for endpoints that the API added."""
_CLOSED_S: Final = 60.0
_EXPIRE_S: Final = 600.0


class Deliverer:
    """Delivers. `run` takes a thread of its own."""

    def __init__(self, parts: Parts) -> None:
        self._parts: Final = parts
        self._lanes: dict[str, Lane] = {}
        self._stop = Flag()
        self._throttle: Final = Throttle()
        self._due_s: dict[str, float] = {}
        self._declared = False
        self._log = get_logger(component="alerts")

    def run(self, stop: Flag) -> None:
        """Runs until `stop` is set; then receivers have some seconds to answer.

        Raises:
            UsageError: The database refuses us for good, or settings contradict it.
        """
        clock, backoff = self._parts.clock, Backoff()
        self._log.info("deliverer_started", endpoints=[e.name for e in self._parts.endpoints])
        try:
            while not stop.is_set():
                try:
                    self.turn()
                    backoff.succeeded()
                    clock.wait(stop, self._parts.poll_s)
                except Retryable as error:
                    self._say_away(error)
                    clock.wait(stop, backoff.failed(clock.monotonic()))
        finally:
            self.leave()

    def declare(self) -> None:
        """Makes the endpoints of the settings known, before anything is told.

        Raises:
            Retryable: The database does not answer.
            UsageError: It refuses us, or an endpoint's name is taken.
        """
        parts = self._parts
        try:
            key = request_key_secret(parts.engine)
            with writing(parts.engine) as connection:
                now_us = parts.database_now_us(connection)
                registry.declare(connection, parts.endpoints, key, now_us)
                seal_again(connection, parts.vault)
        except SQLAlchemyError as error:
            raise as_our_error(error, parts.engine.url) from error
        self._declared = True

    def turn(self) -> int:
        """Looks once, and starts what is due; returns how many messages that is.

        Raises:
            Retryable: The database does not answer.
            UsageError: It refuses us, or an endpoint's name is taken.
        """
        engine = self._parts.engine
        try:
            self._refresh()
            names = list(self._lanes)
            with reading(engine) as connection:
                now_us = self._parts.database_now_us(connection)
                held_up = claims.held_up(connection, names, now_us)
                due = claims.due(connection, names, now_us)
            if held_up:
                with writing(engine) as connection:
                    claims.hurry(connection, held_up, now_us)
        except SQLAlchemyError as error:
            raise as_our_error(error, engine.url) from error
        for name, messages in due.items():
            self._lanes[name].start(self._work, messages)
        return sum(due.values())

    def drain(self, seconds: float) -> None:
        """Sends all that is due now, for at most so many seconds, and ends.

        Raises:
            Retryable, UsageError: As `turn`.
        """
        end_s = self._parts.clock.monotonic() + seconds
        try:
            while self.turn() and self._parts.clock.monotonic() < end_s:
                wait(self._running(), timeout=1.0)
        finally:
            self.leave()

    def leave(self) -> None:
        """Ends what is under way: in good order where receivers answer, else by force."""
        self._stop.set()
        _, late = wait(self._running(), timeout=self._parts.grace_s)
        self._parts.lines.cut()
        wait(late, timeout=_CUT_S)
        for lane in self._lanes.values():
            lane.close()
        self._lanes = {}

    def _running(self) -> set[Future[None]]:
        return {one for lane in self._lanes.values() for one in lane.running}

    def _is_time(self, what: str, every_s: float) -> bool:
        now_s = self._parts.clock.monotonic()
        if now_s < self._due_s.get(what, now_s):
            return False
        self._due_s[what] = now_s + every_s
        return True

    def _refresh(self) -> None:
        """Knows the endpoints of the settings and, always anew, those of the API."""
        parts = self._parts
        if not self._declared:
            self.declare()
        if self._is_time("refresh", _REFRESH_S):
            with reading(parts.engine) as connection:
                found = added(connection, parts.vault)
            self._set_lanes([*parts.endpoints, *found.endpoints])
            self._say_closed(found.closed)
        if self._is_time("expire", _EXPIRE_S):
            with writing(parts.engine) as connection:
                expired = registry.expire(connection, parts.database_now_us(connection))
            if expired:
                self._log.error("alerts_given_up", messages=expired, reason="nobody delivers them")

    def _say_closed(self, closed: Mapping[str, str]) -> None:
        """Endpoints of the API that cannot be opened get nothing: once a minute, and in its row."""
        if closed and self._is_time("closed", _CLOSED_S):
            for name, reason in closed.items():
                self._log.error("endpoint_closed", endpoint=name, reason=reason)
            with writing(self._parts.engine) as connection:
                note_closed(connection, closed)

    def _set_lanes(self, endpoints: Iterable[Endpoint]) -> None:
        wanted = {endpoint.name: endpoint for endpoint in endpoints}
        for name, lane in list(self._lanes.items()):
            if wanted.get(name) != lane.endpoint:
                self._lanes.pop(name).close()
        for name, endpoint in wanted.items():
            if name not in self._lanes:
                self._lanes[name] = Lane(endpoint, self._parts.senders.sender(endpoint))

    def _work(self, lane: Lane) -> None:
        """Sends what is due to one endpoint until nothing is."""
        try:
            while not self._stop.is_set():
                claim = self._claim(lane.endpoint)
                if claim is None:
                    return
                self._record(lane.endpoint, claim, self._send(lane, claim))
        except SQLAlchemyError as error:
            self._say_away(as_our_error(error, self._parts.engine.url))
        except Exception:
            self._log.exception("delivery_broken", endpoint=lane.endpoint.name)

    def _claim(self, endpoint: Endpoint) -> Claim | None:
        with writing(self._parts.engine) as connection:
            return claims.claim(
                connection,
                endpoint.name,
                self._parts.database_now_us(connection),
                lease_us=round((endpoint.rules.timeout_s + _LEASE_MORE_S) * 1e6),
                concurrency=endpoint.concurrency,
            )

    def _send(self, lane: Lane, claim: Claim) -> Result:
        try:
            return lane.send(claim.event)
        except Exception:
            # A fault of ours must neither lose the message nor try it all the time.
            self._log.exception("alert_not_made", endpoint=claim.endpoint, event_id=claim.event.id)
            return failed("mirrorproof failed to make it; see its log")

    def _record(self, endpoint: Endpoint, claim: Claim, result: Result) -> None:
        """Records an attempt, also when the database is away for some seconds."""
        clock = self._parts.clock
        backoff, end_s = Backoff(), clock.monotonic() + _RECORD_S
        while True:
            try:
                state = self._record_once(endpoint, claim, result)
                return self._tell(claim, result, state)
            except SQLAlchemyError:
                wait_s = backoff.failed(clock.monotonic())
                if clock.monotonic() + wait_s > end_s or clock.wait(self._stop, wait_s):
                    raise

    def _record_once(self, endpoint: Endpoint, claim: Claim, result: Result) -> State | None:
        with writing(self._parts.engine) as connection:
            return record(
                connection,
                claim,
                result,
                self._parts.database_now_us(connection),
                spread=self._parts.spread(),
                repeat=REPEATS.get(endpoint.form),
            )

    def _tell(self, claim: Claim, result: Result, state: State | None) -> None:
        log = self._log.bind(
            endpoint=claim.endpoint,
            event_id=claim.event.id,
            attempt=claim.attempt,
            reason=result.reason,
        )
        if state is State.DEAD:
            log.error("alert_given_up")
        elif result.outcome is Outcome.DELIVERED:
            log.debug("alert_repeated") if claim.delivered_us else log.info("alert_delivered")
        elif result.outcome is not Outcome.INTERRUPTED:
            log.warning("alert_not_delivered")
        if result.outcome is Outcome.GONE:
            log.error("endpoint_disabled")

    def _say_away(self, error: MirrorproofError) -> None:
        if self._throttle.ready("database_away", self._parts.clock.monotonic()):
            self._log.warning("database_away", reason=str(error))


def build(settings: Settings, engine: Engine, on_attempt: OnAttempt = ignore) -> Deliverer:
    """A deliverer on a migrated database; `on_attempt` as of `Senders`.

    Raises:
        UsageError: An endpoint cannot be used.
    """
    own, clock, lines = settings.alerts, SystemClock(), Lines()
    about = {"source": own.source, "external_url": own.external_url}
    return Deliverer(
        Parts(
            engine=engine,
            clock=clock,
            endpoints=all_of_settings(own.endpoints),
            senders=Senders(clock, lines, **about, on_attempt=on_attempt),
            lines=lines,
            poll_s=own.poll_s,
            vault=vault_of(own),
        )
    )
