"""Policies: which requests owe which copies. Plain data and the questions asked of it."""

from __future__ import annotations

from typing import Final

import msgspec

from collector.observation import Destination

ALWAYS: Final = 100.0


class Weighted(msgspec.Struct, frozen=True):
    """A live destination and its weight, relative to the sum of the route's (often 100)."""

    destination: Destination
    weight: int


class Mirror(msgspec.Struct, frozen=True):
    """A destination that gets copies, and of how many requests, in percent (0 to 100)."""

    destination: Destination
    percent: float = ALWAYS


class Subset(msgspec.Struct, frozen=True):
    """A DestinationRule's subset: the pods of `host` that carry all of `labels`."""

    host: str
    name: str
    labels: tuple[tuple[str, str], ...]


class StringMatch(msgspec.Struct, frozen=True):
    """How one text is matched: `exact`, `prefix` or `regex` (RE2, whole text, as Istio does)."""

    kind: str
    value: str
    ignore_case: bool = False


class Condition(msgspec.Struct, frozen=True):
    """One entry of a route's `match` list: all that is set must hold.

    `hidden` names what an access log cannot show (`headers.x-user`, `sourceLabels`), so that
    the condition can be refuted by a line but never confirmed. `query` matches the first value of
    each named query parameter. Conditions of a lower `rank` are asked first (Gateway API sorts by
    how specific they are); a VirtualService's all have rank 0 and are asked in order.
    """

    path: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    port: int | None = None
    hidden: tuple[str, ...] = ()
    query: tuple[tuple[str, StringMatch], ...] = ()
    rank: int = 0

    def always_holds(self) -> bool:
        """Whether every request of the host fulfils this condition."""
        parts = (self.path, self.method, self.authority, self.port)
        return not (self.hidden or self.query) and all(part is None for part in parts)


class Lint(msgspec.Struct, frozen=True, order=True):
    """Something in a policy that a person should look at.

    Attributes:
        severity: `error` (no copy will be made, or none can be told from live traffic),
            `warning` (probably not what was meant), `note` (good to know).
        where: `FILE document N FIELD`.
        code: Stable name of the rule, for filters and tests.
        message: One sentence: what it is.
        advice: What to do.
    """

    severity: str
    where: str
    code: str
    message: str
    advice: str = ""


class IncidentRule(msgspec.Struct, frozen=True):
    """What a user says of one kind of incident; None: as for every policy. Times in µs.

    Attributes:
        kind: A `verifier.incidents.event.Kind` of policies.
        enabled: False: no such incident of this policy.
        severity: `critical`, `warning` or `info`.
        critical_share: From which share on it is critical, 0 to 1.
        threshold: Which share is tolerated, above 0 and below 1.
        for_us: How long it must hold.
        clear_us: How long it must be over.
        repeat_us: How often it is told that it is still there.
    """

    kind: str
    enabled: bool = True
    severity: str | None = None
    critical_share: float | None = None
    threshold: float | None = None
    for_us: int | None = None
    repeat_us: int | None = None
    clear_us: int | None = None


class Rules(msgspec.Struct, frozen=True):
    """What the user accepts and how far apart lines of one request may lie. Times in µs."""

    tolerance: float = 0.0
    """Accepted share of missing copies, 0 to 1."""
    horizon_us: int = 5_000_000
    """Largest gap between lines of one episode: retry horizon + mirror delay + clock skew."""
    grace_us: int = 30_000_000
    """How long after a window's end its lines may still arrive."""
    change_grace_us: int = 5_000_000
    """After a policy change, proxies differ for so long: requests then are exempt."""
    incidents: tuple[IncidentRule, ...] = ()
    """What is told of this policy in another way than of others."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One http route: where its live traffic goes and where copies of it go.

    Attributes:
        name: `NAMESPACE/NAME` of its VirtualService, and `/ROUTE` (its name or position) when
            that has more than one http route.
        namespace: Of the VirtualService; short host names belong to it.
        hosts: Every host to watch for it, canonical: those of the VirtualService and of all
            its destinations.
        match: Conditions, of which any one selects this route; empty: all requests.
        earlier: The match lists of the routes before it in the same VirtualService, with their
            names, in order: the first that matches wins.
        live: Live destinations with a weight above zero.
        mirrors: Destinations that get copies; empty: a route without a mirror.
        subsets: Subsets of its hosts, from DestinationRules.
        route_name: The http route's `name`, which client lines log, or empty.
        rules: What the user accepts.
        valid_from_us: When it came into force, µs since the epoch; None: since ever.
        source: `FILE document N` and the field of the route, for messages.
        resource: What the route belongs to, `KIND NAMESPACE/NAME`: among the routes of one
            resource the first that matches wins.
        gateways_only: Whether only gateways know the route: calls from inside the mesh do not take
            it.
        position: Its place among the routes of its resource, from 0.
        route_hosts: The canonical hosts whose requests the route may take; `*` and
            `*.example.com` are wildcards.
        lints: What its reader noticed, see `verifier.policies.lint`.
    """

    name: str
    namespace: str = "default"
    hosts: tuple[str, ...]
    match: tuple[Condition, ...] = ()
    earlier: tuple[tuple[str, tuple[Condition, ...]], ...] = ()
    live: tuple[Weighted, ...]
    mirrors: tuple[Mirror, ...] = ()
    subsets: tuple[Subset, ...] = ()
    route_name: str = ""
    rules: Rules = Rules()
    valid_from_us: int | None = None
    source: str = ""
    resource: str = ""
    gateways_only: bool = False
    position: int = 0
    route_hosts: tuple[str, ...] = ()
    lints: tuple[Lint, ...] = ()

    def destinations(self) -> tuple[Destination, ...]:
        """Its live destinations and those of its mirrors, each once, in order."""
        live = [one.destination for one in self.live]
        return tuple(dict.fromkeys([*live, *(one.destination for one in self.mirrors)]))

    def mirrors_to(self, destination: Destination) -> tuple[Mirror, ...]:
        """Its mirrors to a destination, in order; several mean several copies a request."""
        return tuple(one for one in self.mirrors if covers(one.destination, destination))

    def mirror_of(self, destination: Destination) -> Mirror | None:
        """Its first mirror to a destination, or None."""
        return next((one for one in self.mirrors if covers(one.destination, destination)), None)

    def percent(self, destination: Destination) -> float:
        """The share of requests that owe a destination at least one copy, 0 to 100.

        All mirrors of a route share one draw, so this is the largest, not the sum.
        Source: Envoy `shouldShadow` on the stream id.
        """
        return max((one.percent for one in self.mirrors_to(destination)), default=0.0)

    def is_live(self, destination: Destination) -> bool:
        """Whether the route sends live traffic to a destination."""
        return any(covers(one.destination, destination) for one in self.live)


def covers(declared: Destination, actual: Destination) -> bool:
    """Whether a declared destination reaches the pods of an actual one.

    A destination without a subset reaches every pod of its host.
    """
    return declared.host == actual.host and declared.subset in ("", actual.subset)
