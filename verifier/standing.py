"""How the installation stands, as metrics: read from its database when somebody asks.

Every process that shows these shows the same, so they are to be compared, never added up. Each
question is of indexes or small tables, and is asked once in a few seconds, however many ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any, Final

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from collector import metrics
from collector.clock import Clock, SystemClock
from collector.db.engine import as_our_error, reading
from collector.db.tables import policy_version, quarantine
from collector.log import Throttle, get_logger
from collector.metric import Place, Series
from collector.service.process import Bounded, ProcessMetrics
from verifier.alerts.outbox import State
from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.incidents.tables import incident
from verifier.settle import report
from verifier.settle.lease import DatabaseClock, database_now_us
from verifier.settle.watermark import FOREVER_US, EvidenceRules
from verifier.tables import settled_policy

MOST_COUNTED: Final = 10_000
_FRESH_S: Final = 3.0
_STATEMENT_MS: Final = 3_000
"""Less than Prometheus waits for an answer, which is ten seconds unless it is told otherwise."""
_SPECS: Final = tuple(spec for spec in metrics.SPECS if spec.place is Place.DATABASE)


class Standing(Collector):
    """Asks the database.

    Args:
        engine: The database, migrated.
        evidence: How long the brokers' word counts.
        process: Whose metrics these become.
        clock: For how old an answer is.
        now_us: The database's clock.
    """

    def __init__(
        self,
        engine: Engine,
        evidence: EvidenceRules,
        process: ProcessMetrics,
        clock: Clock | None = None,
        now_us: DatabaseClock = database_now_us,
    ) -> None:
        self._engine: Final = engine
        self._evidence: Final = evidence
        self._process: Final = process
        self._clock: Final = clock or SystemClock()
        self._now_us: Final = now_us
        self._asking: Final = Lock()
        self._throttle: Final = Throttle(60.0)
        self._asked_s: float | None = None
        self._known: list[Metric] = []
        process.registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """For the registry, which takes no name twice."""
        return [spec.family() for spec in _SPECS]

    def collect(self) -> Iterable[Metric]:
        """All of it; what was known before while somebody else asks."""
        if self._asking.acquire(blocking=not self._known):
            try:
                now_s = self._clock.monotonic()
                if self._asked_s is None or now_s - self._asked_s >= _FRESH_S:
                    self._known = self._ask()
                    self._asked_s = self._clock.monotonic()
            finally:
                self._asking.release()
        return self._known

    def _ask(self) -> list[Metric]:
        try:
            with reading(self._engine) as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text(f"SET LOCAL statement_timeout = {_STATEMENT_MS}"))
                now_us = self._now_us(connection)
                found = [*self._lags(connection, now_us), *self._alerts(connection, now_us)]
                found += [_incidents(connection), _quarantine(connection)]
        except SQLAlchemyError as error:
            if self._throttle.ready("standing", self._clock.monotonic()):
                reason = str(as_our_error(error, self._engine.url))
                get_logger(component="metrics").warning("database_not_asked", reason=reason)
            return [metrics.DATABASE_UP.family({(): 0.0})]
        return [metrics.DATABASE_UP.family({(): 1.0}), *found]

    def _lags(self, connection: Connection, now_us: int) -> Iterable[Metric]:
        time_us = report.watermark(connection, now_us, self._evidence).time_us
        is_known = time_us is not None and time_us < FOREVER_US
        yield metrics.WATERMARK_LAG.family({(): _age_s(time_us, now_us)} if is_known else {})
        c = settled_policy.c
        in_force = select(policy_version.c.name).where(policy_version.c.valid_to_us.is_(None))
        query = select(c.policy, c.settled_to_us).where(c.policy.in_(in_force)).order_by(c.policy)
        rows = connection.execute(query).all()
        ages = [(name, _age_s(to_us, now_us)) for name, to_us in rows if 0 < to_us < FOREVER_US]
        yield metrics.SETTLED_LAG.family(_most(self._process.policies, ages))

    def _alerts(self, connection: Connection, now_us: int) -> Iterable[Metric]:
        m, e, bound = alert_message.c, alert_endpoint.c, self._process.endpoints
        waits = m.finished_us.is_(None) & (m.state == State.PENDING.value)
        query = select(m.endpoint, func.count(), func.min(m.created_us)).where(waits)
        waiting = {row[0]: row for row in connection.execute(query.group_by(m.endpoint))}
        known = connection.execute(select(e.name, e.dead, e.disabled_us).order_by(e.name)).all()
        counts = [(one.name, waiting[one.name][1] if one.name in waiting else 0) for one in known]
        oldest = [
            (one.name, _age_s(waiting[one.name][2], now_us) if one.name in waiting else 0.0)
            for one in known
        ]
        disabled = [(one.name, float(one.disabled_us is not None)) for one in known]
        yield metrics.ALERTS_PENDING.family(_sum(bound, counts))
        yield metrics.ALERTS_OLDEST.family(_most(bound, oldest))
        yield metrics.ALERTS_GIVEN_UP.family(_sum(bound, [(one.name, one.dead) for one in known]))
        yield metrics.ENDPOINT_DISABLED.family(_most(bound, disabled))


def _incidents(connection: Connection) -> Metric:
    c = incident.c
    query = (
        select(c.kind, c.severity, func.count())
        .where(c.resolved_us.is_(None))
        .group_by(c.kind, c.severity)
    )
    return metrics.INCIDENTS.family({(kind, how): n for kind, how, n in connection.execute(query)})


def _quarantine(connection: Connection) -> Metric:
    c = quarantine.c
    some = select(c.id).where(c.replayed_us.is_(None), c.length > 0).limit(MOST_COUNTED).subquery()
    return metrics.QUARANTINE.family(
        {(): int(connection.scalar(select(func.count(some.c.id))) or 0)}
    )


def _age_s(time_us: Any, now_us: int) -> float:
    return max(0, now_us - int(time_us)) / 1e6


def _most(bound: Bounded, values: Iterable[tuple[str, float]]) -> Series:
    """By label; the largest of those that share one."""
    found: dict[tuple[str, ...], float] = {}
    for name, value in values:
        label = (bound.of(name),)
        found[label] = max(value, found.get(label, value))
    return found


def _sum(bound: Bounded, values: Iterable[tuple[str, float]]) -> Series:
    """By label; the sum of those that share one."""
    found: dict[tuple[str, ...], float] = {}
    for name, value in values:
        label = (bound.of(name),)
        found[label] = found.get(label, 0) + value
    return found
