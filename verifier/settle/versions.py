"""Which policy versions are in force when, as settling asks it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from collector.db.tables import policy_version
from verifier.pairing.lines import Reason
from verifier.places import Places
from verifier.policies.model import Policy
from verifier.policies.resolve import RouteTable
from verifier.policies.stored import from_document

_SINCE_EVER: Final = -(1 << 62)
_FOR_EVER: Final = 1 << 62


class Version(msgspec.Struct, frozen=True):
    """One policy version. Times in µs since the epoch.

    Attributes:
        id: Its row.
        policy: What it says.
        valid_from_us: From when it holds; None: since ever.
        in_force_us: From when its verdicts count, see `in_force`; None: since ever.
        stored_from_us: From when all lines about its hosts are stored; None: since ever.
        from_us: From when requests are judged by it. The first one of a policy judges what was
            before it, too: no mirror was in force then.
        to_us: Until when, without that time.
        digest: Of its document.
        acknowledged: Whether every live collector watches it: until then nothing is settled.
    """

    id: int
    policy: Policy
    valid_from_us: int | None
    in_force_us: int | None
    stored_from_us: int | None
    from_us: int
    to_us: int
    digest: bytes
    acknowledged: bool = True

    def exemption(self, time_us: int) -> Reason | None:
        """Why nothing is owed at a time although the policy has a mirror."""
        if self.valid_from_us is None or self.in_force_us is None:
            return None
        if time_us < self.valid_from_us:
            return Reason.NO_MIRROR_IN_FORCE
        if time_us < self.in_force_us + self.policy.rules.change_grace_us:
            return Reason.POLICY_CHANGED
        return None

    def is_stored(self, time_us: int) -> bool:
        """Whether all lines of a request that starts then are stored; clocks may differ a little.

        Rule: nobody watched a new host before, so that what lacks then was never stored.
        """
        stored_from_us = self.stored_from_us
        return stored_from_us is None or time_us >= stored_from_us + self.policy.rules.horizon_us

    def is_plain_after(self, start_us: int) -> bool:
        """Whether no time from then on is exempt, or without lines."""
        if not self.is_stored(start_us):
            return False
        in_force_us = self.in_force_us
        return in_force_us is None or start_us >= in_force_us + self.policy.rules.change_grace_us


def in_force(valid_from_us: int | None, recorded_us: int, acknowledged_us: int) -> int | None:
    """From when the verdicts of a version count, but for its grace; None: since ever.

    A change counts once every live collector watched it: until then the old and the new one hold
    beside each other. What corrects the past counts from when it is said to hold.

    Args:
        valid_from_us: From when it holds; None: since ever.
        recorded_us: When it was recorded.
        acknowledged_us: When every live collector watched it.
    """
    if valid_from_us is None or valid_from_us < recorded_us:
        return valid_from_us
    return max(valid_from_us, acknowledged_us)


class Era(msgspec.Struct, frozen=True):
    """A stretch of time in which nothing changes.

    Attributes:
        from_us: Its begin.
        to_us: Its end, without that time.
        versions: Those in force, by policy name, in the order of their policies.
        policies: Those, in the same order.
        places: Answers which of them a line concerns.
        routes: Answers which of them a request concerns.
    """

    from_us: int
    to_us: int
    versions: dict[str, Version]
    policies: tuple[Policy, ...]
    places: Places
    routes: RouteTable


class Versions:
    """All policy versions.

    Attributes:
        all: In the order in which they were recorded.
        waiting: Whether not every live collector watches all of them yet.
    """

    def __init__(self, versions: Iterable[Version]) -> None:
        self.all: Final = tuple(versions)
        self.waiting: Final = any(not version.acknowledged for version in self.all)
        edges = {_SINCE_EVER, *(v.from_us for v in self.all), *(v.to_us for v in self.all)}
        self._edges: Final = sorted(edges - {_FOR_EVER})
        self._eras: dict[int, Era] = {}

    def era(self, time_us: int) -> Era:
        """The era of a time."""
        index = bisect_right(self._edges, time_us) - 1
        found = self._eras.get(index)
        if found is None:
            found = self._eras[index] = self._make(index)
        return found

    def eras(self, start_us: int, end_us: int) -> list[Era]:
        """The eras that a span meets, in order."""
        found = [self.era(start_us)]
        while found[-1].to_us < end_us:
            found.append(self.era(found[-1].to_us))
        return found

    def mirrored(self) -> list[str]:
        """The names of the policies of which any version has a mirror, sorted."""
        return sorted({version.policy.name for version in self.all if version.policy.mirrors})

    def of(self, name: str) -> list[Version]:
        """The versions of a policy, in order of time."""
        return sorted((v for v in self.all if v.policy.name == name), key=lambda v: v.from_us)

    def _make(self, index: int) -> Era:
        start = self._edges[index]
        end = self._edges[index + 1] if index + 1 < len(self._edges) else _FOR_EVER
        current = _in_order(v for v in self.all if v.from_us <= start < v.to_us)
        policies = tuple(version.policy for version in current.values())
        places = Places(policies)
        return Era(start, end, current, policies, places, places.routes)


def _in_order(versions: Iterable[Version]) -> dict[str, Version]:
    """Versions by policy, those of one resource in the order of its routes.

    A route that was changed alone has a newer version than those behind it.
    """
    resources: dict[str, list[Version]] = {}
    for version in {one.policy.name: one for one in versions}.values():
        policy = version.policy
        resources.setdefault(policy.resource or policy.name, []).append(version)
    ordered = (sorted(found, key=lambda v: v.policy.position) for found in resources.values())
    return {version.policy.name: version for found in ordered for version in found}


class Row(NamedTuple):
    """What the database says of a version besides its document."""

    id: int
    name: str
    valid_from_us: int | None
    valid_to_us: int | None
    recorded_us: int
    acknowledged_us: int | None
    stored_from_us: int | None


class VersionStore:
    """Reads the versions, and decodes them again only when they changed."""

    def __init__(self) -> None:
        self._rows: tuple[Row, ...] | None = None
        self._policies: dict[int, tuple[Policy, bytes]] = {}
        self._versions = Versions(())

    def read(self, connection: Connection) -> Versions:
        """All versions as this transaction sees them."""
        c = policy_version.c
        query = select(
            c.id, c.name, c.valid_from_us, c.valid_to_us, c.recorded_us, c.acknowledged_us,
            c.stored_from_us,
        )  # fmt: skip
        rows = tuple(Row(*row) for row in connection.execute(query.order_by(c.id)))
        if rows != self._rows:
            self._learn(connection, {row.id for row in rows} - self._policies.keys())
            self._versions = Versions(self._timed(rows))
            self._rows = rows
        return self._versions

    def _learn(self, connection: Connection, ids: set[int]) -> None:
        c = policy_version.c
        for row in connection.execute(select(c.id, c.document, c.digest)):
            if row.id in ids:
                self._policies[row.id] = (from_document(row.document), bytes(row.digest))

    def _timed(self, rows: Iterable[Row]) -> list[Version]:
        seen: set[str] = set()
        found = []
        for row in rows:
            first = row.name not in seen
            seen.add(row.name)
            policy, digest = self._policies[row.id]
            since, until, acknowledged_us = row.valid_from_us, row.valid_to_us, row.acknowledged_us
            found.append(
                Version(
                    id=row.id,
                    policy=policy,
                    valid_from_us=since,
                    in_force_us=in_force(since, row.recorded_us, acknowledged_us or 0),
                    stored_from_us=row.stored_from_us,
                    from_us=_SINCE_EVER if first or since is None else since,
                    to_us=_FOR_EVER if until is None else until,
                    digest=digest,
                    acknowledged=acknowledged_us is not None,
                )
            )
        return found


class Recorded(msgspec.Struct, frozen=True):
    """A policy version as it was recorded. Times in µs since the epoch; None: without bound."""

    id: int
    policy: Policy
    valid_from_us: int | None
    valid_to_us: int | None
    recorded_us: int
    acknowledged_us: int | None
    stored_from_us: int | None


def recorded(connection: Connection) -> list[Recorded]:
    """All versions, by policy, each in the order in which they were recorded."""
    c = policy_version.c
    query = select(
        c.id, c.document, c.valid_from_us, c.valid_to_us, c.recorded_us, c.acknowledged_us,
        c.stored_from_us,
    )  # fmt: skip
    rows = connection.execute(query.order_by(c.name, c.id))
    return [Recorded(row.id, from_document(row.document), *row[2:]) for row in rows]
