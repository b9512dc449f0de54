"""Canonical names of the hosts that policies watch (DESIGN: the *key* and what to store).

A service is called by many names: `forecast`, `forecast:3002`, `forecast.weather`,
`forecast.weather.svc.cluster.local.`, and its mirror copies by `forecast-shadow:3002`. All of
them are one host to a policy. Source: Envoy `shadowAppendedHost` puts the suffix before the port.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SHADOW_SUFFIX: Final = "-shadow"
# Attackers choose the authority; the cache must stay small.
_CACHE_LIMIT: Final = 10_000
_LONGEST_CACHED: Final = 300  # no host name is longer than 253 characters


def strip_port(authority: str) -> str:
    """The host of an authority: lower case, without port, brackets and trailing dot."""
    host = authority.lower()
    if host.startswith("["):
        closing = host.find("]")
        inner = host[1:closing] if closing > 0 else host[1:]
        # Envoy writes the suffix of an IPv6 host behind the bracket: "[::1]-shadow:80"
        tail = host[closing + 1 :].partition(":")[0] if closing > 0 else ""
        return inner + tail
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit():
        host = name
    return host.rstrip(".")


def has_suffix(authority: str) -> bool:
    """Whether an authority that is no watched host carries Envoy's mark of a copy."""
    return strip_port(authority).endswith(SHADOW_SUFFIX)


def service_names(host: str) -> tuple[str, ...]:
    """All names by which a Kubernetes service answers, from its fully qualified one.

    A host that is no cluster-local service name has just itself.
    """
    host = host.lower().rstrip(".")
    parts = host.split(".")
    if len(parts) >= 3 and parts[2] == "svc":
        service, namespace = parts[0], parts[1]
        return (service, f"{service}.{namespace}", f"{service}.{namespace}.svc", host)
    return (host,)


class HostTable:
    """Maps an authority to the canonical name of a watched host, or to None.

    Args:
        hosts: Watched hosts; cluster-local services fully qualified
            (`forecast.weather.svc.cluster.local`), others as they are; `*.example.com`
            watches every name below.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts: Final = tuple(sorted({host.lower().rstrip(".") for host in hosts}))
        self._names: dict[str, str] = {}
        self._wild = tuple(host[1:] for host in self.hosts if host.startswith("*."))
        for host in self.hosts:
            for name in service_names(host):
                # A short name that two namespaces share stays with the first, by name order:
                # the pod and the cluster tell the two services apart, the key need not.
                self._names.setdefault(name, host)
        self._cache: dict[str, tuple[str | None, bool]] = {}

    def resolve(self, authority: str) -> tuple[str | None, bool]:
        """Canonical host (None when nobody watches it), and whether it had the `-shadow` suffix.

        A host that is really named `…-shadow` is itself, not a copy of another.
        """
        found = self._cache.get(authority)
        if found is None:
            found = self._resolve(strip_port(authority))
            if len(self._cache) < _CACHE_LIMIT and len(authority) <= _LONGEST_CACHED:
                self._cache[authority] = found
        return found

    def _resolve(self, host: str) -> tuple[str | None, bool]:
        known = self._lookup(host)
        if known is not None:
            return known, False
        if host.endswith(SHADOW_SUFFIX):
            known = self._lookup(host.removesuffix(SHADOW_SUFFIX).rstrip("."))
            if known is not None:
                return known, True
        return None, False

    def _lookup(self, host: str) -> str | None:
        known = self._names.get(host)
        if known is None and any(host.endswith(tail) for tail in self._wild):
            return host
        return known
