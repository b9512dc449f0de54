"""What to do about each lint, by its code. Codes are stable: scripts and baselines name them."""

from __future__ import annotations

from typing import Final

ADVICE: Final = {
    "deprecated-api-version": "write the version that is named; the fields are the same",
    "deprecated-mirror-percent": "write mirrorPercentage: {value: N}",
    "gateways-without-mesh": "add mesh to gateways to mirror calls from inside the mesh, too",
    "hidden-condition": "name each http route and log the name as %ROUTE_NAME%",
    "host-in-two-resources": "merge them: sidecars use one of them, and no line shows which",
    "marker-changed": "look at `policy markers`; after an upgrade to Istio 1.28 it is expected",
    "mirror-has-live-weight": "give the mirror a subset of its own, or a weight of 0",
    "mirror-silent": "see that its pods run, log, and that their logs are shipped",
    "mirrors-unknown-to-istio": "write mirror, or upgrade Istio to 1.20",
    "no-mirror": "add mirror to a route, or name the file that has one",
    "percentage-truncated": "declare what Istio keeps",
    "percentage-truncated-to-zero": "declare at least 0.0001 %",
    "percentage-wrong-in-istio": "upgrade Istio to 1.24.3, 1.25.0 or later",
    "several-mirrors": "nothing: a smaller sample is inside a larger one, and that is verified",
    "shadow-suffix": "rely on nothing that needs the suffix, as routes on the authority",
    "subset-without-destination-rule": "give the DestinationRule, too",
    "unknown-subset": "correct the name, or declare the subset",
    "unreachable-route": "put it before the one that takes every request",
    "wildcard-host": "name the hosts that callers use",
}
