"""The default text formats of all releases of Istio, and that of Envoy itself.

Istio's of 1.9 and later has a parser of its own (`istio_text`), as nearly all lines are of it;
those before are compiled like a user's. The JSON formats of all releases have the same keys, read
by `istio_json`.

Source: Istio `pilot/pkg/networking/core/v1alpha3` and `pilot/pkg/model/telemetry_logging.go` at
each release; Envoy `SubstitutionFormatUtils::DEFAULT_FORMAT`.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from collector.formats.custom_json import JsonFormat
from collector.formats.custom_text import TextFormat
from collector.formats.operators import MIXER_STATUS

_HEAD: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" '
    "%RESPONSE_CODE% %RESPONSE_FLAGS%"
)
_SIZES: Final = "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"
_REQUEST: Final = (
    '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" '
    '"%UPSTREAM_HOST%"'
)
_ADDRESSES: Final = (
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME%"
)
_MIXER: Final = f'"{MIXER_STATUS}"'
_TRANSPORT: Final = '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"'
_DETAILS: Final = "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%"


def _istio(between: str, cluster: str = "UPSTREAM_CLUSTER", route: str = " %ROUTE_NAME%") -> str:
    """Istio's text format of a release: what differs is between head and sizes, and the end."""
    return f"{_HEAD} {between} {_SIZES} {_REQUEST} %{cluster}% {_ADDRESSES}{route}"


ISTIO_TEXT: Final = {
    "Istio 1.23 or later": _istio(f"{_DETAILS} {_TRANSPORT}", "UPSTREAM_CLUSTER_RAW"),
    "Istio 1.9 to 1.22": _istio(f"{_DETAILS} {_TRANSPORT}"),
    "Istio 1.8": _istio(_TRANSPORT),
    "Istio 1.3 to 1.7": _istio(f"{_MIXER} {_TRANSPORT}"),
    "Istio 1.2": _istio(f"{_MIXER} {_TRANSPORT}", route=""),
    "Istio 1.1": _istio(_MIXER, route=""),
}
"""The default text formats, newest first. Istio 1.9 and 1.10 wrote that of 1.8 where a proxy was
older than the control plane; 1.23 wrote UPSTREAM_CLUSTER for older proxies."""
ENVOY_TEXT: Final = f"{_HEAD} {_SIZES} {_REQUEST}"
ISTIO_JSON: Final = {
    "start_time": "%START_TIME%",
    "route_name": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}
"""The default JSON format of today; older releases lack keys, and 1.1 to 1.7 have one more."""

NEWEST: Final = "Istio 1.9 or later, text"
JSON: Final = "Istio, JSON"


@cache
def newest_text() -> TextFormat:
    """The default text format of today, compiled."""
    return TextFormat(ISTIO_TEXT["Istio 1.23 or later"])


@cache
def older_texts() -> dict[str, TextFormat]:
    """Default text formats that are tried when a line is not of the newest, by their names."""
    releases = ("Istio 1.8", "Istio 1.3 to 1.7", "Istio 1.2", "Istio 1.1")
    found = {f"{release}, text": TextFormat(ISTIO_TEXT[release]) for release in releases}
    return found | {"Envoy's default, text": TextFormat(ENVOY_TEXT)}


@cache
def default_json() -> JsonFormat:
    """The default JSON format of today, compiled."""
    return JsonFormat(ISTIO_JSON)
