"""Asks the database: bounded questions of indexes and small tables, each within a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import Clock
from collector.db.engine import as_our_error, describe, open_engine, reading
from collector.db.migrate import current_revision, require_schema
from collector.db.tables import STOPPED, batch, instance, policy_version, position, quarantine
from collector.errors import MirrorproofError, UsageError
from collector.settings import Settings
from verifier.alerts.tables import alert_endpoint
from verifier.api import keys
from verifier.doctor import judge, words
from verifier.doctor.finding import Finding, fail, ok, warn
from verifier.doctor.judge_kafka import Place
from verifier.doctor.policies import of_policies
from verifier.settle.lease import database_now_us
from verifier.tables import settled_policy, verifier_lease

NAMES: Final = (
    "database", "schema", "clock", "partitions", "collectors", "verifier", "policies",
    "heartbeats", "quarantine", "our retention", "receivers", "api keys",
)  # fmt: skip
MOST_BATCHES: Final = 50_000
_MOST_WAITING: Final = 10_000
_STATEMENT_MS: Final = 5_000
_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000

Report = Callable[[Finding], object]


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """The database of the settings; none is made.

    Raises:
        UsageError: The file is not there, or the URL is none.
        MirrorproofError: It went away.
    """
    engine = open_engine(settings.database.address())
    try:
        if (
            engine.url.get_backend_name() == "sqlite"
            and not Path(engine.url.database or "").is_file()
        ):
            raise UsageError(f"database {engine.url.database}: no such file")
        yield engine
    except SQLAlchemyError as error:
        raise as_our_error(error, engine.url) from error
    finally:
        engine.dispose()


@contextmanager
def asking(engine: Engine) -> Iterator[Connection]:
    """A snapshot, whose questions may not take long."""
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = {_STATEMENT_MS}"))
        yield connection


def places_of(settings: Settings) -> list[Place]:
    """How far the partitions of topics are read. Raises MirrorproofError."""
    with opened(settings) as engine, asking(engine) as connection:
        return places(connection)


def places(connection: Connection) -> list[Place]:
    """As `places_of`; files are none."""
    rows = connection.execute(select(position).order_by(position.c.topic, position.c.partition))
    return [
        Place(
            name=f"{row.topic}/{row.partition}",
            next_offset=row.next_offset,
            owner=row.owner,
            stopped=(row.reason or "stopped") if row.state == STOPPED else "",
            watermark_us=row.watermark_us,
        )
        for row in rows
        if not row.topic.startswith("file:")
    ]


def examine(settings: Settings, clock: Clock, report: Report) -> None:
    """Looks at the database and what is in it.

    Args:
        settings: All settings.
        clock: Ours.
        report: Told each finding.

    Raises:
        MirrorproofError: What is not reported could not be seen.
    """
    with opened(settings) as engine:
        _reach(engine, report)
        with asking(engine) as connection:
            began_us = clock.now_us()
            now_us = database_now_us(connection)
            ahead_s = (now_us - (began_us + clock.now_us()) / 2) / 1e6
            report(judge.clock(ahead_s, settings.verifier.evidence_max_age_s))
            report(judge.stopped(places(connection)))
            for look in _LOOKS:
                report(look(connection, settings, now_us))
            of_policies(connection, now_us, report)


def _reach(engine: Engine, report: Report) -> object:
    """Whether it answers, and has our schema. Raises MirrorproofError: no use in asking more."""
    began_s = time.monotonic()
    try:
        revision = current_revision(engine)
    except MirrorproofError as error:
        report(fail("database", str(error), "see database.* of the settings, and the network"))
        raise
    report(ok("database", f"{describe(engine.url)} answers in {time.monotonic() - began_s:.2f} s"))
    try:
        newer = require_schema(engine)
    except MirrorproofError as error:
        report(fail("schema", str(error), "run mirrorproof migrate of the program that is used"))
        raise
    if newer:
        seen = f"{revision} is newer than this program, which works on it all the same"
        return report(warn("schema", seen, "end the upgrade: the same release everywhere"))
    return report(ok("schema", f"up to date: {revision}"))


def _collectors(connection: Connection, settings: Settings, now_us: int) -> Finding:
    alive_us = now_us - int(settings.incidents.collector_away_s * 1e6)
    c = instance.c
    found = connection.scalar(select(func.count()).where(c.seen_us >= alive_us)) or 0
    if found:
        return ok("collectors", f"{found} alive")
    last_us = connection.scalar(select(func.max(c.seen_us)))
    seen = "none was ever alive" if last_us is None else f"the last sign is {_ago(last_us, now_us)}"
    return fail("collectors", seen, "start mirrorproof collect; its log says why it ended")


def _verifier(connection: Connection, _: Settings, now_us: int) -> Finding:
    row = connection.execute(select(verifier_lease)).first()
    do = "start mirrorproof verify; its log says why it ended"
    if row is None:
        return fail("verifier", "none ever settled here", do)
    if row.expires_us < now_us:
        seen = f"the lease of {row.owner} ended {_ago(row.expires_us, now_us)}"
        return fail("verifier", seen, do)
    return ok("verifier", f"{row.owner} settles")


def _heartbeats(connection: Connection, _: Settings, now_us: int) -> Finding:
    read, _bad, count = _sums(connection, now_us - _HOUR_US)
    return judge.heartbeats(count, read)


def _quarantine(connection: Connection, _: Settings, now_us: int) -> Finding:
    read, bad, _count = _sums(connection, now_us - _DAY_US)
    c = quarantine.c
    some = select(c.id).where(c.replayed_us.is_(None)).limit(_MOST_WAITING).subquery()
    waiting = connection.scalar(select(func.count()).select_from(some)) or 0
    return judge.quarantined(read, bad, waiting)


def _sums(connection: Connection, since_us: int) -> tuple[int, int, int]:
    """Lines, quarantined ones and heartbeats of the last batches, as far as since a time."""
    c = batch.c
    columns = c.read, c.quarantined, c.heartbeats, c.committed_us
    last = select(*columns).order_by(c.id.desc()).limit(MOST_BATCHES).subquery().c
    sums = select(func.sum(last.read), func.sum(last.quarantined), func.sum(last.heartbeats))
    row = connection.execute(sums.where(last.committed_us > since_us)).one()
    return int(row[0] or 0), int(row[1] or 0), int(row[2] or 0)


def _kept(connection: Connection, settings: Settings, now_us: int) -> Finding:
    in_force = select(policy_version.c.name).where(policy_version.c.valid_to_us.is_(None))
    c = settled_policy.c
    least = select(func.min(c.settled_to_us)).where(c.policy.in_(in_force), c.settled_to_us > 0)
    settled_us = connection.scalar(least)
    behind_s = 0.0 if settled_us is None else max(0, now_us - settled_us) / 1e6
    keep = settings.retention
    oldest_us = connection.scalar(select(batch.c.committed_us).order_by(batch.c.id).limit(1))
    days = max(keep.batches_days, keep.lines_days)
    beyond = None
    if oldest_us is not None and keep.batches_days and keep.lines_days:
        beyond = (now_us - int(oldest_us)) / _DAY_US - days
    return judge.own_retention(keep.lines_days, behind_s, beyond)


def _receivers(connection: Connection, settings: Settings, _: int) -> Finding:
    c = alert_endpoint.c
    rows = connection.execute(select(c.name, c.disabled_us, c.dead).order_by(c.name)).all()
    disabled = [row.name for row in rows if row.disabled_us is not None]
    if not rows and not settings.alerts.endpoints:
        do = "name a receiver in alerts.endpoints, or load the rules of deploy/monitoring"
        return warn("receivers", "nobody is told of drift by mirrorproof", do)
    if disabled:
        seen = f"disabled: {words.names(disabled)}"
        return warn("receivers", seen, "mirrorproof alert enable NAME, or alert remove NAME")
    given_up = [f"{row.name} {row.dead}" for row in rows if row.dead]
    more = f"; given up ever: {words.names(given_up)}" if given_up else ""
    return ok("receivers", f"{len(rows)} known, none disabled{more}")


def _keys(connection: Connection, settings: Settings, now_us: int) -> Finding:
    valid = [one.name for one in keys.all_keys(connection) if one.is_valid(now_us)]
    if valid:
        return ok("api keys", f"{len(valid)} valid")
    if settings.api.oidc_issuer:
        return ok("api keys", "none; tokens of api.oidc_issuer count")
    host = settings.api.listen.rpartition(":")[0].strip("[]")
    if host in ("127.0.0.1", "localhost", "::1"):
        return ok("api keys", "none: only this machine may ask")
    do = "mirrorproof key create NAME"
    return fail("api keys", "none, and api.listen is for others: serve refuses that", do)


_LOOKS: Final = (_collectors, _verifier, _heartbeats, _quarantine, _kept, _receivers, _keys)


def _ago(time_us: int, now_us: int) -> str:
    return f"{words.duration(max(0, now_us - time_us) / 1e6)} ago"
