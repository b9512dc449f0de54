"""What a format must log for verification, what its lack costs, and what to log instead. Pure."""

from __future__ import annotations

import json
from collections.abc import Set
from typing import Final, Literal

import msgspec

from collector.formats.fields import Fields
from collector.formats.known import ISTIO_JSON


class Need(msgspec.Struct, frozen=True):
    """Something that a format lacks.

    Attributes:
        severity: `error`: nothing can be verified; `warning`: something cannot; `note`: it helps.
        field: What is missing.
        operator: What logs it.
        cost: What its lack costs.
    """

    severity: Literal["error", "warning", "note"]
    field: str
    operator: str
    cost: str


_NEEDS: Final = (
    Need("error", "request_id", "%REQ(X-REQUEST-ID)%",
         "no line can be paired with another: every request is ambiguous"),
    Need("warning", "cluster", "%UPSTREAM_CLUSTER_RAW%",
         "senders and receivers look alike, and which subset a sender chose does not show: "
         "only lines of pods whose version is known count, and route by their pod"),
    Need("warning", "authority", "%REQ(:AUTHORITY)%",
         "only the cluster or the TLS server name tell which host a line is about; receivers "
         "without mutual TLS are told by their pod alone, and -shadow marks no copy"),
    Need("warning", "method", "%REQ(:METHOD)%",
         "requests under one id that differ in their method only are taken for one"),
    Need("warning", "path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
         "requests under one id that differ in their path only are taken for one, and routes by "
         "path cannot be told"),
    Need("warning", "duration", "%DURATION%",
         "when a line was complete is unknown: windows may settle too early, and retries cannot "
         "be told from requests"),
    Need("warning", "flags", "%RESPONSE_FLAGS%",
         "aborted and refused requests, of which no copy is owed, are called missing"),
    Need("warning", "details", "%RESPONSE_CODE_DETAILS%",
         "redirects and refusals by RBAC or JWT, which are never mirrored, are called missing"),
    Need("warning", "upstream_host", "%UPSTREAM_HOST%",
         "whether a refused request was sent on at all does not show"),
    Need("warning", "route", "%ROUTE_NAME%",
         "requests on routes with conditions on headers stay unverifiable"),
    Need("warning", "forwarded_for", "%REQ(X-FORWARDED-FOR)%",
         "a copy without the -shadow suffix (Istio 1.28 and later) is told by the policy only: "
         "live traffic that leaks to the mirror may pass for one"),
    Need("warning", "server_name", "%REQUESTED_SERVER_NAME%",
         "which version a pod is must come from its labels or its name"),
    Need("note", "attempt", "%REQ(X-ENVOY-ATTEMPT-COUNT)%",
         "without the senders' logs a retry may be a request of its own"),
    Need("note", "stream_id", "%UNIQUE_ID%",
         "a line that is shipped twice is told by its whole text"),
)  # fmt: skip


def lacks(logged: Set[str]) -> list[Need]:
    """What is missing where these fields are logged, the worst first."""
    order = ("error", "warning", "note")
    return sorted(
        (need for need in _NEEDS if need.field not in logged), key=lambda n: order.index(n.severity)
    )


def cuts(fields: Fields) -> list[Need]:
    """Values that a format cuts to a length although they must be whole."""
    return [
        Need(
            "warning",
            name,
            operator.text,
            f"it is cut to {operator.length} bytes: different ones may look the same",
        )
        for name in ("request_id", "path", "authority", "method")
        if (operator := fields.chosen.get(name)) is not None and operator.length is not None
    ]


RECOMMENDED: Final = ISTIO_JSON | {
    "attempt_count": "%REQ(X-ENVOY-ATTEMPT-COUNT)%",
    "stream_id": "%UNIQUE_ID%",
    "pod_name": "%ENVIRONMENT(POD_NAME)%",
    "pod_namespace": "%ENVIRONMENT(POD_NAMESPACE)%",
}
"""Istio's default JSON format with all that helps besides; it needs no setting here."""


def snippet() -> str:
    """YAML for Istio that makes every proxy log what is needed."""
    labels = "".join(f"          {key}: {json.dumps(RECOMMENDED[key])}\n" for key in RECOMMENDED)
    return f"""\
# meshConfig: a provider that logs what is needed, as JSON. Proxies older than Istio 1.21 may not
# know the last three operators and would refuse the whole format: leave them out there.
meshConfig:
  extensionProviders:
    - name: mirrorproof
      envoyFileAccessLog:
        path: /dev/stdout
        logFormat:
          labels:
{labels.replace("          ", "            ")}---
# and who uses it: all proxies of the mesh
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: mirrorproof, namespace: istio-system}}
spec:
  accessLogging:
    - providers: [{{name: mirrorproof}}]
"""
