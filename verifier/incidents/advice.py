"""What to look at next: by the kind of an incident and what stands out in it. Pure.

Names of statistics are Envoy's (Cluster manager, "Cluster stats"; `retry_or_shadow_abandoned` is
the router's). Istio keeps most of them off: `proxyStatsMatcher` in the proxy's annotation
`proxy.istio.io/config` turns them on.
"""

from __future__ import annotations

from typing import Final

from collector.observation import Destination
from verifier.incidents.causes import CauseCode
from verifier.incidents.event import Kind
from verifier.policies.model import Policy

_BY_CAUSE: Final = {
    CauseCode.POLICY_CHANGE: (
        "Compare the versions (`mirrorproof policy list`) and what the proxies have "
        "(`istioctl proxy-config routes POD -o json`, `requestMirrorPolicies`); take the change "
        "back if it was not meant."
    ),
    CauseCode.MIRROR_GONE: (
        "Look whether the mirror has pods and endpoints; at the senders "
        "{cluster}.membership_healthy, .upstream_cx_none_healthy and "
        ".internal.upstream_rq_503. A mirror cluster that does not exist has no statistic, only "
        "a debug line of the router."
    ),
    CauseCode.MIRROR_POD_GONE: (
        "Look at that pod, its restarts, its node and the shipper there; at the senders "
        "{cluster}.upstream_cx_connect_fail and .membership_healthy."
    ),
    CauseCode.LARGE_BODIES: (
        "Proxies that buffer a body do not mirror one above the connection's buffer limit: look at "
        "cluster.{primary}.retry_or_shadow_abandoned at the senders. Upgrade them to Istio 1.25 "
        "(Envoy 1.33) or later, which stream copies, or raise perConnectionBufferLimitBytes."
    ),
    CauseCode.SENDER: (
        "Compare that proxy's configuration with another's (`istioctl proxy-status`, "
        "`istioctl proxy-config routes`): it may be stale, or not covered by the VirtualService; "
        "then at its {cluster}.upstream_rq_pending_overflow and .upstream_cx_connect_fail."
    ),
    CauseCode.PRIMARY_POD: "Look at that pod: its labels, its proxy and the shipper of its node.",
    CauseCode.MIRROR_POD: "Look at that pod: its labels, its proxy and the shipper of its node.",
    CauseCode.PATH: (
        "Look which route that path takes (`istioctl proxy-config routes`): the first http route "
        "that matches wins, and may have no mirror or another one."
    ),
    CauseCode.METHOD: (
        "Look which route that method takes: the first http route that matches wins; CONNECT and "
        "upgrades are never mirrored."
    ),
}
_BY_KIND: Final = {
    Kind.MISSING: (
        "At the senders look at {cluster}.upstream_rq_pending_overflow (circuit breaker), "
        ".upstream_cx_connect_fail, .upstream_cx_none_healthy and .upstream_rq_timeout: a failed "
        "copy is dropped without a line."
    ),
    Kind.LEAK: (
        "Look at the weights that the proxies have (`istioctl proxy-config routes`, "
        "`weightedClusters`), at other VirtualServices of the host, and at callers without a "
        "sidecar; at the mirror's pods, x-forwarded-for tells who calls."
    ),
    Kind.PERCENTAGE: (
        "Compare `runtimeFraction` of `requestMirrorPolicies` in the senders' routes with the "
        "policy: a proxy may be stale, and Istio truncates to parts of a million."
    ),
    Kind.STATUS_DIVERGENCE: (
        "Compare the examples at both versions (`mirrorproof explain ID`): the mirror writes "
        "twice, lacks rights (403) or is overloaded (503)."
    ),
    Kind.LATENCY_DIVERGENCE: "Compare load, resources and dependencies of both versions.",
    Kind.SIZE_DIVERGENCE: "Compare the responses of the examples at both versions.",
    Kind.MIRROR_SILENT: (
        "Mirroring is off, the mirror has no pods, or its logs do not arrive: look for its pods, "
        "its access log (Telemetry, meshConfig.accessLogFile) and the shipper."
    ),
    Kind.EVIDENCE_HOLE: (
        "Look at the shippers of the nodes concerned, their buffers and dropped records, at "
        "`mirrorproof quarantine list`, and whether a Telemetry filters the mirror's log."
    ),
    Kind.DUPLICATES: (
        "Look for two mirrors to the same pods: `mirror` and `mirrors`, two VirtualServices, or a "
        "gateway and a sidecar that both mirror."
    ),
    Kind.ORPHANS: (
        "Look who sends copies that no policy here declares, and whether the senders' logs "
        "arrive: a copy of a request that never reached the primary is one, too."
    ),
    Kind.UNDECLARED: (
        "Name the http routes, so that lines show them; look whether the mirror has live weight "
        "(`mirrorproof policy lint`)."
    ),
    Kind.UNKNOWN_VERSION: (
        "Give these pods the label `version`, and have it told by the shipper or from the cluster "
        "(MIRRORPROOF_CLUSTER__PODS); declare their subset in the DestinationRule beside the "
        "policy; or name their workload SERVICE-VERSION. What should receive nothing, take out "
        "of the service."
    ),
    Kind.LINT: "Run `mirrorproof policy lint` on the policy's file; it says where and what to do.",
    Kind.MARKER: (
        "Look at `mirrorproof policy markers` and whether Istio was upgraded (1.28 adds no "
        "`-shadow`), X-Forwarded-For is handled otherwise now, or a proxy before the mirror "
        "changed. Where only the policy tells copies, leaks are harder to see."
    ),
    Kind.QUARANTINE: "Look at `mirrorproof quarantine list`: reasons, places, and how they begin.",
    Kind.STALLED: (
        "Look at `mirrorproof quarantine list` for the reason, at the collectors' logs and at the "
        "brokers; `mirrorproof quarantine resume` has a stopped partition read on."
    ),
    Kind.GAP: (
        "Look at `mirrorproof quarantine list`; `mirrorproof quarantine replay` reads records "
        "again that Kafka still has. Nothing of that time is proven."
    ),
    Kind.NO_COLLECTOR: "Look at the collectors' pods, their logs, and whether they reach Kafka.",
    Kind.UNACKNOWLEDGED: (
        "Look at the log of the collector that is named: it reads policies every "
        "`collector.policy_refresh_s`. One that is ended is waited for no longer than a minute."
    ),
    Kind.WATERMARK_LAG: (
        "Verdicts wait for the partition that is furthest behind: look at the collectors' lag and "
        "their processor time; add collectors, up to one a partition."
    ),
}


def advice(kind: Kind, cause: CauseCode, policy: Policy | None) -> str:
    """What to look at next.

    Args:
        kind: The incident's kind.
        cause: What stands out.
        policy: Its policy; None: the pipeline.
    """
    mirror = _cluster(policy.mirrors[0].destination) if policy and policy.mirrors else "MIRROR"
    primary = _cluster(policy.live[0].destination) if policy and policy.live else "PRIMARY"
    text = _BY_CAUSE.get(cause, _BY_KIND[kind])
    return text.format(cluster=f"cluster.{mirror}", primary=primary)


def _cluster(to: Destination) -> str:
    """Istio's name of the cluster; the port is not in the policy."""
    return f"outbound|PORT|{to.subset}|{to.host}"
