"""Which destination a server line's pod is.

No line says the version of the pod that wrote it. In order of trust it follows from

1. the pod's **labels**, when its shipper adds them: those of a DestinationRule's subset;
2. the pod's **name**. Kubernetes' suffixes are cut off (`-5d8f9b7c6-abcde` of a Deployment,
   `-abcde` of a DaemonSet, `-0` of a StatefulSet); the rest is the workload. A subset is met by
   a workload that begins with the service's name and ends with the subset's version:
   `forecast-v1`, `forecast-svc-v1`. The version is the subset's `version` label (or its only
   label's value), and then the subset's own name. When the workload begins with no watched
   service's name, its end alone decides, as long as only one destination fits; so do `v1` and
   `forecast-v1` as names that a person gave;
3. the **TLS server name** of the line, which also decides between destinations that fit equally
   well (a subset of its own for the mirror has the same pods as the live one).

A destination without a subset is met by the pods of its service that meet no subset: workloads
that equal the service's name or begin with it. The longest service name that fits wins. A pod of
another namespace is never one of the service's. Subsets that policies use come before those that
only a DestinationRule declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from collector.observation import Destination
from collector.records import Identity
from verifier.policies.model import Policy, Subset

_CACHE_LIMIT: Final = 10_000
_VERSION_LABELS: Final = ("version", "app.kubernetes.io/version")
_APP_LABELS: Final = ("app", "app.kubernetes.io/name", "service.istio.io/canonical-name")
# Source: Kubernetes util/rand: suffixes have no vowels. People's own have, so a hash with a
# digit passes as well.
_HASHES: Final = (
    re.compile(r"-(?:[bcdf-hj-np-tv-xz24-9]{5,10}|(?=[a-z]*\d)[a-z0-9]{6,10})-[a-z0-9]{5}$"),
    re.compile(r"-[bcdf-hj-np-tv-xz24-9]{5}$"),
    re.compile(r"-\d{1,4}$"),
)


class _Candidate(msgspec.Struct, frozen=True):
    """A destination that a pod may be."""

    destination: Destination
    labels: tuple[tuple[str, str], ...]
    declared: bool
    """Whether a DestinationRule says the labels; else they are a guess."""
    versions: tuple[str, ...]
    """Ends of workload names that mean it, the best first; empty for a whole service."""


class _Service(msgspec.Struct, frozen=True):
    """A watched cluster-local service."""

    host: str
    short: str
    namespace: str


class PodVersions:
    """Answers which destination the pod of a server line is; see the module for how.

    Ask per policy, with `PodVersions((policy,))`, where policies name the same pods differently.

    Args:
        policies: The policies whose destinations count.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        policies = tuple(policies)
        used = dict.fromkeys(one for policy in policies for one in policy.destinations())
        subsets = {
            Destination(one.host, one.name): one for policy in policies for one in policy.subsets
        }
        self._used = [_candidate(one, subsets.get(one)) for one in used]
        rest = [one for one in subsets if one not in used]
        self._declared = [_candidate(one, subsets[one]) for one in rest]
        hosts = dict.fromkeys(one.host for one in (*used, *rest))
        self._services = [one for one in map(_service, hosts) if one is not None]
        self._hosts = frozenset(hosts)
        self._cache: dict[tuple[Identity, Destination | None], Destination | None] = {}
        self._owners: dict[tuple[Identity, Destination | None], str | None] = {}

    def destination(
        self, pod: Identity, server_name: Destination | None = None
    ) -> Destination | None:
        """The destination that a pod is, or None when its version or service is unknown.

        Args:
            pod: Who wrote the server line.
            server_name: The destination in the line's TLS server name, if any.
        """
        asked = (pod, server_name)
        if asked in self._cache:
            return self._cache[asked]
        found = self._resolve(pod, server_name)
        if len(self._cache) < _CACHE_LIMIT:
            self._cache[asked] = found
        return found

    def sure(self, pod: Identity) -> Destination | None:
        """As `destination`, of a pod of which no line shows that it receives requests.

        The end of its name does not suffice then: `frontend-v1` may well be a sender. The name has
        to tell the service too, or be nothing but the version.
        """
        found = self.destination(pod)
        if found is None or self._owning(pod, None):
            return found
        if any(one.short in pod.pod for one in self._services if one.host == found.host):
            return found
        versions = (c.versions for c in (*self._used, *self._declared) if c.destination == found)
        names = workloads(pod.pod)
        return found if any(one in names for some in versions for one in some) else None

    def belongs(self, pod: Identity, server_name: Destination | None = None) -> str | None:
        """The watched service that a pod belongs to, whatever its version; None for no watched one.

        A server line of a watched host from a pod that belongs to it and has no destination is
        one of unknown version. A line whose TLS server name is another service's is that one's.
        """
        asked = (pod, server_name)
        if asked in self._owners:
            return self._owners[asked]
        is_others = server_name is not None and server_name.host not in self._hosts
        services = [] if is_others else self._owning(pod, server_name)
        found = services[0].host if len(services) == 1 else None
        if len(self._owners) < _CACHE_LIMIT:
            self._owners[asked] = found
        return found

    def _owning(self, pod: Identity, server_name: Destination | None) -> list[_Service]:
        """The services that surely have this pod: one, none, or several of one name."""
        near = [one for one in self._services if pod.namespace in ("", one.namespace)]
        if server_name is not None and server_name.host in self._hosts:
            return [one for one in near if one.host == server_name.host]
        names = [one for one in near if _begins(pod.pod, one.short)]
        if not names:
            labels = dict(pod.labels)
            apps = {labels[label] for label in _APP_LABELS if label in labels}
            return [one for one in near if one.short in apps]
        longest = max(len(one.short) for one in names)
        return [one for one in names if len(one.short) == longest]

    def _resolve(self, pod: Identity, server_name: Destination | None) -> Destination | None:
        owning = self._owning(pod, server_name)
        hosts = {one.host for one in owning}
        if server_name is not None and server_name.host in self._hosts:
            hosts = {server_name.host}
        elif not hosts:
            near = (one for one in self._services if pod.namespace in ("", one.namespace))
            hosts = {one.host for one in near}
        labels = dict(pod.labels)
        used = [c for c in self._used if c.destination.host in hosts and not _refuted(c, labels)]
        found = _fitting(used, pod, labels)
        if not found and owning:
            found = [c.destination for c in used if not c.destination.subset]
        if not found:
            declared = [c for c in self._declared if c.destination.host in hosts]
            found = _fitting([c for c in declared if not _refuted(c, labels)], pod, labels)
        return self._decide(found, server_name)

    def _decide(
        self, found: Sequence[Destination], server_name: Destination | None
    ) -> Destination | None:
        if len(found) == 1:
            return found[0]
        if server_name is not None and server_name.host in self._hosts:
            return server_name if not found or server_name in found else None
        return None


def workloads(pod: str) -> list[str]:
    """The workload names a pod's name may stand for, those with most cut off first."""
    names = [pattern.sub("", pod) for pattern in _HASHES]
    return sorted(dict.fromkeys([*names, pod]), key=len)


def _begins(pod: str, short: str) -> bool:
    return pod == short or pod.startswith(f"{short}-")


def _service(host: str) -> _Service | None:
    """The service of a cluster-local host; other hosts have no pods that are ours."""
    parts = host.split(".")
    if len(parts) >= 3 and parts[2] == "svc":
        return _Service(host, parts[0], parts[1])
    return None


def _candidate(destination: Destination, subset: Subset | None) -> _Candidate:
    if not destination.subset:
        return _Candidate(destination, (), False, ())
    if subset is None or not subset.labels:
        implied = (("version", destination.subset),)
        return _Candidate(destination, implied, False, (destination.subset,))
    labels = dict(subset.labels)
    values = [labels[name] for name in _VERSION_LABELS if name in labels]
    if not values and len(labels) == 1:
        values = list(labels.values())
    versions = tuple(dict.fromkeys([*values[:1], destination.subset]))
    return _Candidate(destination, subset.labels, True, versions)


def _refuted(candidate: _Candidate, labels: dict[str, str]) -> bool:
    """Whether the pod carries another value of a label that a DestinationRule asks for."""
    return candidate.declared and any(
        labels.get(name, value) != value for name, value in candidate.labels
    )


def _fitting(
    candidates: Sequence[_Candidate], pod: Identity, labels: dict[str, str]
) -> list[Destination]:
    """The destinations that fit best: by labels, else by name."""
    subsets = [c for c in candidates if c.destination.subset]
    if labels:
        by_label = [c for c in subsets if c.labels and set(c.labels) <= labels.items()]
        if by_label:
            most = max(len(c.labels) for c in by_label)
            return [c.destination for c in by_label if len(c.labels) == most]
    for workload in workloads(pod.pod):
        for rank in (0, 1):
            found = _ending(subsets, workload, rank)
            if found:
                return found
    return []


def _ending(candidates: Sequence[_Candidate], workload: str, rank: int) -> list[Destination]:
    """The destinations whose version of a rank ends a workload's name; the longest version wins."""
    found: list[tuple[int, Destination]] = []
    for candidate in candidates:
        for version in candidate.versions[rank : rank + 1]:
            dashed = version.lower().replace(".", "-")
            if any(workload == end or workload.endswith(f"-{end}") for end in (version, dashed)):
                found.append((len(version), candidate.destination))
    longest = max((length for length, _ in found), default=0)
    return [destination for length, destination in found if length == longest]


def is_gateway(pod: Identity) -> bool | None:
    """Whether a pod is a gateway of the mesh, by its labels or its name; None: it has no name.

    Source: Istio's and the Gateway API's labels of gateway deployments.
    """
    if not pod.pod:
        return None
    labels = dict(pod.labels)
    named = {"gateway.networking.k8s.io/gateway-name", "istio.io/gateway-name"} & labels.keys()
    return bool(named) or "gateway" in labels.get("istio", "") or "gateway" in pod.pod
