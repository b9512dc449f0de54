"""From a parsed line to an observation: what is stored of it and what settling compares."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec

from collector.hosts import HostTable, has_suffix
from collector.keys import line_identity, request_key
from collector.records import AccessLog, Identity, Role
from collector.traits import Trait, traits_of


class Destination(msgspec.Struct, frozen=True, order=True):
    """Where a proxy sent a request, or was asked to receive it: host and optional subset."""

    host: str
    subset: str = ""


class Observation(msgspec.Struct, gc=False):
    """One line about a watched host, ready to be stored and settled.

    Attributes:
        key: 16 bytes shared by the lines of one request, see `collector.keys`.
        line_id: Identity of the line among those of its pod, signed 64 bits.
        role: `Role` of the line as a number.
        traits: `collector.traits.Trait` bits.
        host: Canonical host of the authority.
        destination: Client lines: the cluster's host and subset. Server lines: what the TLS
            server name says, when the mesh sends one. None otherwise.
        pod: Who wrote the line.
        log: All fields of the line.
    """

    key: bytes
    line_id: int
    role: int
    traits: int
    host: str
    destination: Destination | None
    pod: Identity
    log: AccessLog


@lru_cache(maxsize=4096)
def read_cluster(cluster: str) -> tuple[Role, Destination | None]:
    """Role and destination of Envoy's `%UPSTREAM_CLUSTER%`.

    Istio 1.8 and later write `inbound|PORT||`, older ones `inbound|PORT|NAME|HOST`; Istio
    1.23.0 to 1.23.3 may end the cluster with `;` (istio/istio#54219). What was sent straight to
    a pod comes through `InboundPassthroughCluster`, with `Ipv4` or `Ipv6` in older releases.
    """
    parts = cluster.rstrip(";").split("|")
    if parts[0] == "outbound" and len(parts) == 4:
        return Role.CLIENT, Destination(parts[3].lower(), parts[2])
    if parts[0] == "inbound" or cluster.startswith("InboundPassthroughCluster"):
        return Role.SERVER, None
    if cluster:
        return Role.CLIENT, None
    return Role.UNROUTED, None


@lru_cache(maxsize=4096)
def read_server_name(server_name: str) -> Destination | None:
    """The destination in Istio's mutual-TLS server name, `outbound_.PORT_.SUBSET_.HOST`.

    Source: Istio `BuildDNSSrvSubsetKey`.
    """
    parts = server_name.split("_.")
    if parts[0] == "outbound" and len(parts) == 4:
        return Destination(parts[3].lower(), parts[2])
    return None


def observe(
    log: AccessLog,
    line: str,
    pod: Identity,
    hosts: HostTable,
    secret: bytes,
    identify: Callable[[AccessLog, str], int] = line_identity,
    own_host: str = "",
) -> Observation | None:
    """The observation of a line, or None when no policy watches its host.

    A line concerns a policy when its authority, its outbound cluster or its TLS server name
    names a watched host.

    Args:
        log: The parsed line.
        line: The line itself, for its identity.
        pod: Who wrote it.
        hosts: The watched hosts.
        secret: Key of the request key, at most 64 bytes.
        identify: How a line is told from the others of its pod; the default lasts for ever.
        own_host: The watched host of the service that the pod belongs to, for lines of receivers
            that name no watched host: a service may be called by its address, or by any name that
            a gateway takes. Empty: such lines concern nobody.
    """
    role, destination = read_cluster(log.cluster)
    if destination is None and log.server_name:
        destination = read_server_name(log.server_name)
        if destination is not None and role is Role.UNROUTED:
            role = Role.SERVER
    host, shadow_host = hosts.resolve(log.authority)
    extra = Trait.PLAIN if role is Role.SERVER and log.server_name == "" else 0
    if host is None and destination is not None:
        host = hosts.resolve(destination.host)[0]
        shadow_host = host is not None and has_suffix(log.authority)
    if host is None:
        if not own_host or role is not Role.SERVER:
            return None
        host, shadow_host = own_host, has_suffix(log.authority)
        extra |= Trait.OTHER_NAME
    return Observation(
        request_key(log.request_id, log.method, log.path, host, secret),
        identify(log, line),
        role,
        traits_of(log, shadow_host=shadow_host) | extra,
        host,
        destination,
        pod,
        log,
    )
