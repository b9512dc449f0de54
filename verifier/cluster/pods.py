"""Pods of the cluster: of which version each is, where it runs, from when to when. Pure.

Source: Kubernetes API reference, Pod (core/v1).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from verifier.cluster.resources import time_us


class PodLife(msgspec.Struct, frozen=True):
    """One pod, from its start to its end. Times in µs since the epoch.

    Attributes:
        namespace: Where it is.
        name: Its name; another pod may have it later.
        uid: What no other pod ever has.
        node: Where it runs; empty: nowhere yet.
        labels: Sorted pairs.
        started_us: When its node took it on; it serves nothing before.
        ended_us: When its last container ended; None: it runs.
    """

    namespace: str
    name: str
    uid: str
    node: str
    labels: tuple[tuple[str, str], ...]
    started_us: int
    ended_us: int | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    namespace: str
    uid: str
    creation_timestamp: str
    labels: dict[str, str] | None = None


class _Container(msgspec.Struct):
    name: str


class _Spec(msgspec.Struct, rename="camel"):
    containers: list[_Container]
    init_containers: list[_Container] | None = None
    node_name: str = ""


class _Status(msgspec.Struct, rename="camel"):
    phase: str = ""
    start_time: str | None = None
    container_statuses: list[dict[str, Any]] | None = None


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec
    status: _Status = msgspec.field(default_factory=_Status)


_decode = msgspec.json.Decoder(_Pod).decode


def read_pod(data: bytes, containers: Collection[str]) -> PodLife | None:
    """A pod of a list or an event; None: it has no proxy, so that it logs nothing of ours.

    Args:
        data: JSON.
        containers: Names of the containers whose lines count; newer Istio's is among the
            containers that are started first.

    Raises:
        ValueError: It is no pod.
    """
    try:
        pod = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"is no pod: {error}") from error
    names = {one.name for one in (*pod.spec.containers, *(pod.spec.init_containers or ()))}
    if not names & set(containers):
        return None
    own, status = pod.metadata, pod.status
    started_us = time_us(status.start_time) or time_us(own.creation_timestamp)
    if started_us is None:
        raise ValueError("has no time of creation")
    return PodLife(
        namespace=own.namespace,
        name=own.name,
        uid=own.uid,
        node=pod.spec.node_name,
        labels=tuple(sorted((own.labels or {}).items())),
        started_us=started_us,
        ended_us=_ended_us(status),
    )


def _ended_us(status: _Status) -> int | None:
    """When the last container of a pod that will never run again ended."""
    if status.phase not in ("Succeeded", "Failed"):
        return None
    states = [one.get("state") for one in status.container_statuses or ()]
    ended = [one.get("terminated") for one in states if isinstance(one, dict)]
    times = [time_us(one.get("finishedAt")) for one in ended if isinstance(one, dict)]
    return max((found for found in times if found is not None), default=None)
