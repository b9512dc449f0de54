"""Which pods' clocks are wrong, for people."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, select

from collector.db.sign_tables import wild_clock
from collector.db.tables import pod
from verifier.tables import pod_clock
from verifier.times import iso_time

_MOST: Final = 10_000


class Skewed(msgspec.Struct, frozen=True):
    """A clock that is corrected. `since` is RFC 3339; `ahead_ms` is 0 once it is right again."""

    policy: str
    pod: str
    since: str
    ahead_ms: int
    requests: int


class Wild(msgspec.Struct, frozen=True):
    """A clock too far from Kafka's for that, in one hour; below zero: its lines come so late."""

    pod: str
    namespace: str
    cluster: str
    first: str
    last: str
    lines: int
    ahead_ms: int


class ClockReport(msgspec.Struct, frozen=True):
    """All that is known of wrong clocks, the latest first."""

    skewed: list[Skewed]
    wild: list[Wild]


def clock_report(connection: Connection) -> ClockReport:
    """Reads it."""
    c = pod_clock.c
    skewed = (
        select(pod_clock, pod.c.pod)
        .join(pod, pod.c.id == c.pod_id)
        .order_by(c.from_us.desc(), c.policy, pod.c.pod)
    )
    w = wild_clock.c
    wild = select(wild_clock).order_by(w.hour_us.desc(), w.cluster, w.namespace, w.pod)
    return ClockReport(
        [
            Skewed(row.policy, row.pod, iso_time(row.from_us), row.ahead_us // 1000, row.pairs)
            for row in connection.execute(skewed.limit(_MOST))
        ],
        [
            Wild(
                row.pod, row.namespace, row.cluster, iso_time(row.first_us), iso_time(row.last_us),
                row.lines, row.off_us // 1000,
            )
            for row in connection.execute(wild.limit(_MOST))
        ],
    )  # fmt: skip
