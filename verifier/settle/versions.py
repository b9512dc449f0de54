"""Which policy versions are in force when, as settling asks it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final

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
        from_us: From when requests are judged by it. The first one of a policy judges what was
            before it, too: no mirror was in force then.
        to_us: Until when, without that time.
        digest: Of its document.
    """

    id: int
    policy: Policy
    valid_from_us: int | None
    from_us: int
    to_us: int
    digest: bytes

    def exemption(self, time_us: int) -> Reason | None:
        """Why nothing is owed at a time although the policy has a mirror."""
        if self.valid_from_us is None:
            return None
        if time_us < self.valid_from_us:
            return Reason.NO_MIRROR_IN_FORCE
        if time_us < self.valid_from_us + self.policy.rules.change_grace_us:
            return Reason.POLICY_CHANGED
        return None

    def has_exemption_after(self, start_us: int) -> bool:
        """Whether any time from then on is exempt."""
        if self.valid_from_us is None:
            return False
        return start_us < self.valid_from_us + self.policy.rules.change_grace_us


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

    Args:
        versions: In the order in which they were recorded.
    """

    def __init__(self, versions: Iterable[Version]) -> None:
        self.all: Final = tuple(versions)
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
        current = {v.policy.name: v for v in self.all if v.from_us <= start < v.to_us}
        policies = tuple(version.policy for version in current.values())
        places = Places(policies)
        return Era(start, end, current, policies, places, places.routes)


class VersionStore:
    """Reads the versions, and decodes them again only when they changed."""

    def __init__(self) -> None:
        self._rows: tuple[tuple[Any, ...], ...] | None = None
        self._policies: dict[int, tuple[Policy, bytes]] = {}
        self._versions = Versions(())

    def read(self, connection: Connection) -> Versions:
        """All versions as this transaction sees them."""
        columns = policy_version.c
        query = select(columns.id, columns.name, columns.valid_from_us, columns.valid_to_us)
        rows = tuple(tuple(row) for row in connection.execute(query.order_by(columns.id)))
        if rows != self._rows:
            self._learn(connection, {row[0] for row in rows} - self._policies.keys())
            self._versions = Versions(self._timed(rows))
            self._rows = rows
        return self._versions

    def _learn(self, connection: Connection, ids: set[int]) -> None:
        c = policy_version.c
        for row in connection.execute(select(c.id, c.document, c.digest)):
            if row.id in ids:
                self._policies[row.id] = (from_document(row.document), bytes(row.digest))

    def _timed(self, rows: Iterable[tuple[Any, ...]]) -> list[Version]:
        seen: set[str] = set()
        found = []
        for number, name, valid_from_us, valid_to_us in rows:
            first = name not in seen
            seen.add(name)
            begin = _SINCE_EVER if first or valid_from_us is None else valid_from_us
            end = _FOR_EVER if valid_to_us is None else valid_to_us
            policy, digest = self._policies[number]
            found.append(Version(number, policy, valid_from_us, begin, end, digest))
        return found


class Recorded(msgspec.Struct, frozen=True):
    """A policy version as it was recorded. Times in µs since the epoch; None: without bound."""

    id: int
    policy: Policy
    valid_from_us: int | None
    valid_to_us: int | None
    recorded_us: int


def recorded(connection: Connection) -> list[Recorded]:
    """All versions, by policy, each in the order in which they were recorded."""
    c = policy_version.c
    query = select(c.id, c.document, c.valid_from_us, c.valid_to_us, c.recorded_us)
    rows = connection.execute(query.order_by(c.name, c.id))
    return [Recorded(row.id, from_document(row.document), *row[2:]) for row in rows]
