"""Who wrote a line, where the proxy itself logs its pod."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from collector.records import AccessLog, Identity


def writer_of(log: AccessLog, identity: Identity) -> Identity:
    """Who wrote a line: what its shipper knows of Kubernetes, else the pod that the line names.

    Args:
        log: The line; one that is ambiguous names nobody for sure.
        identity: What is known otherwise; a pod alone may be the name of a file.
    """
    if not log.pod or log.ambiguous or identity.namespace or identity.node or identity.labels:
        return identity
    return _named(identity, log.pod, log.namespace)


@lru_cache(maxsize=4096)
def _named(identity: Identity, pod: str, namespace: str) -> Identity:
    return msgspec.structs.replace(identity, pod=pod, namespace=namespace)
