"""Who wrote a line, from the path of its log file, and from Kafka's key and headers.

The kubelet's folders name everything but the node: `/var/log/containers/POD_NS_CONTAINER-ID.log`
(a link) and `/var/log/pods/NS_POD_UID/CONTAINER/N.log`, rotated ones with a suffix. Shippers that
tag by path write dots for slashes (`kube.var.log.containers.…`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from collector.records import Identity

_NAME: Final = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_ROTATED: Final = r"\.log(?:[.-][\w.-]{1,64})?"
_container_path: Final = re.compile(
    rf"(?:.*[/.])?containers[/.](?P<pod>{_NAME})_(?P<namespace>{_LABEL})_"
    rf"(?P<container>{_LABEL})-[0-9a-f]{{12,64}}{_ROTATED}"
).fullmatch
_pod_path: Final = re.compile(
    rf"(?:.*[/.])?pods[/.](?P<namespace>{_LABEL})_(?P<pod>{_NAME})_[0-9a-f-]{{32,36}}[/.]"
    rf"(?P<container>{_LABEL})[/.]\d{{1,9}}{_ROTATED}"
).fullmatch
_MAX_PATH: Final = 1_024

# `NS/POD`, or the name of a Deployment's pod: its ReplicaSet's hash and five characters end it.
_qualified_pod: Final = re.compile(rf"(?P<namespace>{_LABEL})/(?P<pod>{_NAME})").fullmatch
_deployment_pod: Final = re.compile(
    r"(?P<pod>[a-z](?:[-a-z0-9.]{0,230}[a-z0-9])?-[a-z0-9]{6,10}-[a-z0-9]{5})"
).fullmatch

NAMES: Final = {
    name: field
    for field, names in {
        "pod": "k8s.pod.name kubernetes.pod.name kubernetes.pod_name pod.name pod_name pod",
        "namespace": "k8s.namespace.name kubernetes.namespace_name kubernetes.namespace.name "
        "kubernetes.pod_namespace kubernetes.namespace namespace_name pod_namespace namespace",
        "node": "k8s.node.name kubernetes.node.name kubernetes.pod_node_name kubernetes.host "
        "kubernetes.node_name pod_node_name node_name node",
        "container": "k8s.container.name kubernetes.container.name kubernetes.container_name "
        "container.name container_name container",
        "cluster": "k8s.cluster.name kubernetes.cluster.name kubernetes.cluster_name "
        "orchestrator.cluster.name cluster.name cluster",
    }.items()
    for name in names.split()
}
"""Flat names of identity fields, lower case and with dots: headers and in-line keys."""
PATH_NAMES: Final = frozenset({"log.file.path", "file.path", "file", "path", "filename", "tag"})


@lru_cache(maxsize=10_000)
def of_path(path: str) -> Identity | None:
    """Pod, namespace and container of a log file's path or tag; None: it is none of a pod."""
    if len(path) > _MAX_PATH or "_" not in path:
        return None
    found = _container_path(path) or _pod_path(path)
    return _identity(found) if found else None


@lru_cache(maxsize=10_000)
def of_key(key: str) -> Identity | None:
    """Who wrote a line, from the record's key: a path, `NS/POD` or a Deployment's pod."""
    if len(key) > _MAX_PATH:
        return None
    found = _qualified_pod(key) or _deployment_pod(key)
    return _identity(found) if found else of_path(key)


def _identity(found: re.Match[str]) -> Identity:
    return msgspec.structs.replace(Identity(), **found.groupdict())


@lru_cache(maxsize=10_000)
def of_record(identity: Identity, key: bytes, headers: tuple[tuple[str, bytes], ...]) -> Identity:
    """What key and headers add to what is known of the writer; headers win over the key.

    Args:
        identity: What is known otherwise; it wins over the key, not over headers.
        key: The record's key, of any meaning; empty: none.
        headers: Names of any spelling of `NAMES` (`-` and `_` for dots, too), and a path.
    """
    known: dict[str, str] = {}
    for name, value in headers:
        text = value.decode("utf-8", "replace") if value else ""
        plain = name.lower()
        field = NAMES.get(plain) or NAMES.get(re.sub("[-_]", ".", plain))
        if field and text:
            known[field] = text
        elif plain in PATH_NAMES:
            identity = _fill(identity, of_path(text))
    if known:
        identity = msgspec.structs.replace(identity, **known)
    return _fill(identity, of_key(key.decode("utf-8", "replace"))) if key else identity


def _fill(identity: Identity, more: Identity | None) -> Identity:
    """What is not known of a pod yet; of another pod nothing is taken."""
    if more is None or (identity.pod and identity.pod != more.pod):
        return identity
    return fill(identity, more)


def fill(identity: Identity, more: Identity) -> Identity:
    """The identity, with its empty fields from another one."""
    empty = {
        name: getattr(more, name)
        for name in identity.__struct_fields__
        if not getattr(identity, name) and getattr(more, name)
    }
    return msgspec.structs.replace(identity, **empty) if empty else identity
