"""Which route a request took, as far as a log line can tell.

Asked for every line, so that everything is compiled once and the ordinary case (one route
without conditions) is a dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from collector.hosts import service_names, strip_port
from verifier.policies.model import Condition, Policy
from verifier.policies.patterns import matcher

_CACHE_LIMIT: Final = 10_000  # wildcards match hosts that strangers choose
_NO_NAME: Final = ("", "default", "-")
"""Istio logs `default` for every server line and for routes without a VirtualService, so it
decides nothing."""


class Unknown(msgspec.Struct, frozen=True):
    """The line cannot show which route its request took.

    Attributes:
        policies: Those it may have taken, in order.
        otherwise: Whether it may also have taken no route at all.
    """

    policies: tuple[Policy, ...]
    otherwise: bool


class Asked(msgspec.Struct, frozen=True):
    """What a line shows of a request; empty or None is not shown."""

    method: str
    path: str
    host: str
    authority: str = ""
    port: int | None = None


Test = Callable[[Asked], bool | None]
"""Whether a request fulfils a condition; None when its line cannot tell."""
Step = tuple[Policy, Test | None]
"""A route's condition, None when it takes every request."""


class RouteTable:
    """Answers which policy's route a request took.

    Routes of one resource are asked in order and the first that matches wins. When several
    resources speak of a host, each may have taken the request: the proxies know which gateway or
    sidecar it came through, a line does not.

    Args:
        policies: Those in force, in the order of their resources.

    Raises:
        ValueError: A pattern is wrong; `read_policies` has refused such before.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._hosts: dict[str, dict[str, list[Policy]]] = {}
        for policy in policies:
            for host in policy.route_hosts or policy.hosts:
                resources = self._hosts.setdefault(host, {})
                resources.setdefault(policy.resource or policy.name, []).append(policy)
        wild = (host for host in self._hosts if host.startswith("*"))
        self._wild = sorted(wild, key=len, reverse=True)
        self._tables = {host: _Table(found.values()) for host, found in self._hosts.items()}
        self._cache: dict[str, _Table | None] = {}

    def route(
        self,
        method: str,
        path: str,
        host: str,
        route_name: str = "",
        *,
        authority: str = "",
        port: int | None = None,
    ) -> Policy | Unknown | None:
        """The policy whose route a request took.

        Args:
            method: As logged.
            path: As logged; the query is cut off where Envoy does so.
            host: Canonical host, see `collector.hosts`.
            route_name: What a client line logs as route name; it decides when a policy has it.
            authority: As logged, without Envoy's `-shadow`; without it, conditions on the
                authority are asked of every name of the host.
            port: The service's port, as in the client line's cluster.

        Returns:
            The policy, `Unknown` when conditions that no line shows leave several answers, or
            None when it took no policy's route.
        """
        table = self._cache[host] if host in self._cache else self._find(host)
        if table is None:
            return None
        if table.sole is not None:
            return table.sole
        if route_name not in _NO_NAME:
            named = table.named(route_name)
            if named is not None:
                return named
        return table.ask(Asked(method, path, host, authority, port))

    def candidates(self, host: str) -> tuple[Policy, ...]:
        """The policies whose route some request of a canonical host may take."""
        table = self._find(host)
        return () if table is None else table.policies

    def sole(self, host: str) -> Policy | None:
        """The policy that takes every request of a host; None when the request decides."""
        table = self._find(host)
        return None if table is None else table.sole

    def _find(self, host: str) -> _Table | None:
        found = self._tables.get(host)
        if found is None:
            wild = next((name for name in self._wild if host.endswith(name[1:])), None)
            found = self._tables[wild] if wild is not None else None
        if len(self._cache) < _CACHE_LIMIT:
            self._cache[host] = found
        return found


class _Table:
    """The routes of one host."""

    def __init__(self, resources: Iterable[Sequence[Policy]]) -> None:
        self._chains = [_chain(policies) for policies in resources]
        self.policies = tuple({id(step[0]): step[0] for c in self._chains for step in c}.values())
        self.sole: Policy | None = None
        if len(self._chains) == 1 and self._chains[0][0][1] is None:
            self.sole = self._chains[0][0][0]
        self._names: dict[str, Policy | None] = {}
        for chain in self._chains:
            for policy in dict.fromkeys(step[0] for step in chain):
                if policy.route_name:
                    # A name that two routes share tells nothing.
                    twice = policy.route_name in self._names
                    self._names[policy.route_name] = None if twice else policy

    def named(self, route_name: str) -> Policy | None:
        """The policy with this route name; Istio may log it as `ROUTE.MATCH`."""
        return self._names.get(route_name) or self._names.get(route_name.rpartition(".")[0])

    def ask(self, asked: Asked) -> Policy | Unknown | None:
        """The answer of all resources together."""
        possible: dict[str, Policy] = {}
        certain = False
        otherwise = True
        for chain in self._chains:
            for policy, test in chain:
                answer = True if test is None else test(asked)
                if answer is False:
                    continue
                possible.setdefault(policy.name, policy)
                if answer:
                    certain = True
                    otherwise = False
                    break
        if not possible:
            return None
        if certain and len(possible) == 1:
            return next(iter(possible.values()))
        return Unknown(tuple(possible.values()), otherwise)


def _chain(policies: Sequence[Policy]) -> list[Step]:
    """The conditions of one resource's routes in the order in which they are asked."""
    ranked: list[tuple[int, Step]] = []
    for policy in policies:
        if not policy.match:
            ranked.append((0, (policy, None)))
        for condition in policy.match:
            test = None if condition.always_holds() else _test(condition)
            ranked.append((condition.rank, (policy, test)))
    ranked.sort(key=lambda entry: entry[0])
    return [step for _, step in ranked]


def _test(condition: Condition) -> Test:
    """The function that asks a condition of a request."""
    tests = _part_tests(condition)
    hidden = bool(condition.hidden)

    def every(asked: Asked) -> bool | None:
        unknown = hidden
        for test in tests:
            answer = test(asked)
            if answer is False:
                return False
            unknown |= answer is None
        return None if unknown else True

    return every


def _part_tests(condition: Condition) -> list[Test]:
    tests: list[Test] = []
    if condition.path is not None:
        path_matches = matcher(condition.path)
        tests.append(lambda asked: path_matches(_bare_path(asked.path)))
    if condition.method is not None:
        method_matches = matcher(condition.method)
        tests.append(lambda asked: method_matches(asked.method))
    if condition.port is not None:
        tests.append(lambda asked: None if asked.port is None else asked.port == condition.port)
    if condition.authority is not None:
        authority_matches = matcher(condition.authority)
        tests.append(lambda asked: _authority_test(authority_matches, asked))
    for name, match in condition.query:
        tests.append(_query_test(name, matcher(match)))
    return tests


def _bare_path(path: str) -> str:
    """A path without query and fragment, as Envoy matches it."""
    return path.partition("?")[0].partition("#")[0]


def _authority_test(matches: Callable[[str], bool | None], asked: Asked) -> bool | None:
    """Asks the logged authority, or all names of the host when they agree."""
    if asked.authority:
        return matches(asked.authority.lower())
    answers = {matches(name) for name in service_names(strip_port(asked.host))}
    return answers.pop() if len(answers) == 1 else None


def _query_test(name: str, matches: Callable[[str], bool | None]) -> Test:
    """Asks the first value of a query parameter; it must be there. Envoy decodes nothing."""

    def test(asked: Asked) -> bool | None:
        query = asked.path.partition("?")[2].partition("#")[0]
        for pair in query.split("&"):
            key, _, value = pair.partition("=")
            if key == name:
                return matches(value)
        return False

    return test
