"""Puts the verifier together from its settings, and runs it until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Final

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from collector.clock import Clock, SystemClock
from collector.db.engine import as_our_error, reading, writing
from collector.errors import Fenced, Retryable
from collector.log import Throttle, get_logger
from collector.service.app import owner_name
from collector.service.backoff import Backoff
from collector.settings import Settings, VerifierSettings
from verifier.incidents.event import Event as IncidentEvent
from verifier.incidents.rules import TellRules
from verifier.incidents.watch import Watcher
from verifier.monitor import Monitor
from verifier.settle import lease as leases
from verifier.settle.lease import DatabaseClock, Lease, Standby, database_now_us
from verifier.settle.record import Settled
from verifier.settle.steady import SteadyTime
from verifier.settle.tick import Ticked, Ticker, TickRules
from verifier.settle.transaction import settling
from verifier.settle.watermark import EvidenceRules

_SERIALIZATION_FAILURES: Final = ("40001", "40P01")
"""SQLSTATEs after which the same transaction may succeed at once."""


def tick_rules(own: VerifierSettings) -> TickRules:
    """How windows are settled by these settings."""
    return TickRules(
        window_us=own.window_s * 1_000_000,
        evidence=EvidenceRules(
            max_age_us=round(own.evidence_max_age_s * 1e6),
            allowance_us=round(own.shipping_allowance_s * 1e6),
        ),
        max_windows=own.max_windows,
        max_findings=own.max_findings,
    )


def tell_rules(settings: Settings) -> TellRules:
    """What is told by these settings."""
    own = settings.incidents
    return TellRules(
        confirm_us=round(own.confirm_s * 1e6),
        false_alarms_a_year=own.false_alarms_a_year,
        shipping_loss=own.shipping_loss,
        repeat_us=round(own.repeat_s * 1e6),
        quarantine_share=own.quarantine_share,
        stall_us=round(own.stall_s * 1e6),
        collector_away_us=round(own.collector_away_s * 1e6),
        acknowledge_us=round(own.acknowledge_s * 1e6),
        lag_us=round(own.watermark_lag_s * 1e6),
    )


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a verifier is made of.

    Attributes:
        engine: The database, migrated.
        clock: For waiting; event time comes from the database's clock.
        owner: The name of this process.
        settings: How to settle.
        database_now_us: The database's clock.
        on_settled: Told every revision once it is committed.
        tell: What is told of incidents.
        on_incident: Told every notification once it is committed.
        monitor: Told how the loop goes.
    """

    engine: Engine
    clock: Clock
    owner: str
    settings: VerifierSettings
    database_now_us: DatabaseClock = database_now_us
    on_settled: Callable[[Settled], object] = lambda _settled: None
    tell: TellRules = TellRules()
    on_incident: Callable[[IncidentEvent], object] = lambda _event: None
    monitor: Monitor | None = None


class Verifier:
    """Settles windows. `run` takes a thread of its own."""

    def __init__(self, parts: Parts) -> None:
        self._parts: Final = parts
        self._ticker: Final = Ticker(tick_rules(parts.settings))
        self._watcher: Final = Watcher(parts.tell)
        self._lease: Lease | None = None
        self._standby: Final = Standby(self._ttl_us)
        self._time: Final = SteadyTime()
        self._backoff = Backoff()
        self._throttle = Throttle()
        self._log = get_logger(component="verifier")
        self.last: Ticked | None = None

    def run(self, stop: Event) -> None:
        """Runs until `stop` is set; what is in hand is finished first.

        Raises:
            UsageError: The database refuses us for good.
        """
        clock, settings = self._parts.clock, self._parts.settings
        self._log.info("verifier_started", owner=self._parts.owner)
        try:
            while not stop.is_set():
                try:
                    ticked = self._measured_turn()
                    self._backoff.succeeded()
                    if ticked is None or not ticked.more:
                        clock.wait(stop, settings.poll_s)
                except Retryable as error:
                    self._wait(stop, error)
        finally:
            self.leave()

    def _measured_turn(self) -> Ticked | None:
        monitor, clock = self._parts.monitor, self._parts.clock
        if monitor is None:
            return self.turn()
        monitor.beat()
        began_s = clock.monotonic()
        try:
            ticked = self.turn()
        except Retryable as error:
            monitor.failed(error)
            raise
        monitor.turned(ticked, clock.monotonic() - began_s)
        return ticked

    def settle_due(self) -> None:
        """Settles all that is due now, and gives the lease back.

        Raises:
            Retryable: The database does not answer, or another verifier is at work.
            UsageError: The database refuses us.
        """
        try:
            while True:
                ticked = self.turn()
                if ticked is None:
                    raise Retryable("another verifier settles this database")
                if not ticked.more:
                    return
        finally:
            self.leave()

    def turn(self) -> Ticked | None:
        """One tick, in one transaction; None: another verifier has the lease.

        Raises:
            Retryable: The database does not answer; nothing or everything was written.
            UsageError: The database refuses us.
        """
        engine = self._parts.engine
        try:
            lease = self._lease or self._take_lease()
            if lease is None:
                return None
            ticked, events = self._tick(lease)
        except Fenced as error:
            self._lease = None
            self._log.warning("lease_lost", reason=str(error))
            return None
        except SQLAlchemyError as error:
            if _may_succeed_at_once(error):
                raise Retryable("the database had another transaction first") from error
            raise as_our_error(error, engine.url) from error
        self.last = ticked
        for settled in ticked.settled:
            self._parts.on_settled(settled)
        for event in events:
            self._log.warning("incident", summary=event.summary, reason=event.reason.value)
            self._parts.on_incident(event)
        return ticked

    def _tick(self, lease: Lease) -> tuple[Ticked, list[IncidentEvent]]:
        parts = self._parts
        with settling(parts.engine) as connection:
            clock_us = parts.database_now_us(connection)
            leases.renew(connection, lease, clock_us, self._ttl_us)
            newest_us = leases.newest_us(connection)
            now_us = self._time.look(clock_us, parts.clock.monotonic(), newest_us)
            ticked = self._ticker.tick(connection, now_us)
            events = self._watcher.watch(connection, ticked, now_us)
            # However long that took, nobody takes over before the next one is due.
            leases.renew(connection, lease, parts.database_now_us(connection), self._ttl_us)
            return ticked, events

    def _take_lease(self) -> Lease | None:
        """Takes the lease if its holder is silent; only looks as long as he is not."""
        parts = self._parts
        with reading(parts.engine) as connection:
            seen = leases.look(connection)
            now_us = parts.database_now_us(connection)
        silent = seen is not None and self._standby.is_silent(seen, parts.clock.monotonic())
        if seen is not None and not (silent or leases.is_due(seen, parts.owner, now_us)):
            return None
        with writing(parts.engine) as connection:
            now_us = parts.database_now_us(connection)
            self._lease = leases.take(
                connection, parts.owner, now_us, self._ttl_us, seen if silent else None
            )
        if self._lease is not None:
            before = "" if seen is None else seen.owner
            self._log.info("lease_taken", epoch=self._lease.epoch, before=before)
        return self._lease

    @property
    def _ttl_us(self) -> int:
        return round(self._parts.settings.lease_s * 1e6)

    def _wait(self, stop: Event, error: Retryable) -> None:
        now_s = self._parts.clock.monotonic()
        wait_s = self._backoff.failed(now_s)
        if self._throttle.ready("database_away", now_s):
            self._log.warning("database_away", reason=str(error), wait_s=round(wait_s, 2))
        self._parts.clock.wait(stop, wait_s)

    def leave(self) -> None:
        """Gives the lease back."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            with writing(self._parts.engine) as connection:
                leases.give_back(connection, lease)
        except SQLAlchemyError:
            # It expires by itself.
            self._log.warning("lease_not_given_back")


def _may_succeed_at_once(error: SQLAlchemyError) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else None
    return getattr(cause, "sqlstate", None) in _SERIALIZATION_FAILURES


def build(
    settings: Settings,
    engine: Engine,
    clock: Clock | None = None,
    on_settled: Callable[[Settled], object] = lambda _settled: None,
    monitor: Monitor | None = None,
) -> Verifier:
    """A verifier on a migrated database.

    Args:
        settings: All settings.
        engine: The database.
        clock: For waiting.
        on_settled: Told every revision once it is committed; called by the verifier's thread.
        monitor: Told how the loop goes.
    """
    return Verifier(
        Parts(
            engine=engine,
            clock=clock or SystemClock(),
            owner=owner_name(settings),
            settings=settings.verifier,
            on_settled=on_settled,
            tell=tell_rules(settings),
            monitor=monitor,
        )
    )
