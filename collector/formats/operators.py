"""Envoy's command operators: what each may write, and which field of an access log it is.

What an operator writes is either of Envoy's own making, so that neither blanks nor quotes can be
in it, or a client, a backend or another program has a hand in it, and then it may be anything.
All that is sure about a line of text follows from this.

Source: Envoy docs, substitution_formatter; real Envoy 1.40.
"""

from __future__ import annotations

from typing import Final

import msgspec

WORD: Final = r'[^\s"|]'
"""Envoy's own, or made sure by it: an address, a flag, a host. No blank, quote or bar."""
NAME: Final = r'[^\s"]'
"""The operator's: a cluster (`outbound|80||shop`), a route. No blank and no quote."""
METHOD: Final = r'[^"\s]'
"""A client's, but Envoy answers 400 to a blank or a quote in it."""
BARE: Final = r"\S"
"""No blank, but a quote is possible: paths, and reasons that Envoy gives."""
NUMBER: Final = r"[-0-9]"
FREE: Final = "."
"""Anything: a client, a backend or a filter may choose it."""
JSON: Final = r"[\s\S]"
"""Anything, and quotes are usual: metadata and state of filters, written as JSON."""


class Operator(msgspec.Struct, frozen=True):
    """One `%NAME(PARAMETER):LENGTH%` of a format.

    Attributes:
        name: `REQ`
        parameter: What stands in the brackets; None: there are none.
        length: At most so many bytes of the value are logged; None: all.
        position: Where in the format it begins, from 1.
        text: As it stands in the format.
    """

    name: str
    parameter: str | None
    length: int | None
    position: int
    text: str


_REQUEST: Final = frozenset({"REQ", "REQUEST_HEADER"})
_HEADERS: Final = _REQUEST | {
    "RESP", "RESPONSE_HEADER", "TRAILER", "RESPONSE_TRAILER", "REQ_WITHOUT_QUERY",
}  # fmt: skip
_PSEUDO: Final = {
    ":METHOD": METHOD, ":AUTHORITY": WORD, "HOST": WORD, ":SCHEME": WORD, ":PATH": BARE,
}  # fmt: skip

_NUMBERS: Final = """
    BYTES_RECEIVED BYTES_SENT BYTES_RETRANSMITTED PACKETS_RETRANSMITTED CONNECTION_ID DURATION
    DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT
    DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_HANDSHAKE_DURATION
    DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_PORT
    DOWNSTREAM_REMOTE_PORT DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT
    GRPC_STATUS_NUMBER REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION RESPONSE_CODE
    RESPONSE_DURATION RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION
    ROUNDTRIP_DURATION UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_POOL_READY_DURATION
    UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT
    UPSTREAM_HEADER_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT UPSTREAM_LOCAL_PORT
    UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_WIRE_BYTES_RECEIVED
    UPSTREAM_WIRE_BYTES_SENT COMMON_DURATION
"""
_WORDS: Final = """
    " ACCESS_LOG_TYPE DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS
    DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT
    DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT
    DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID
    DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1
    DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_SERIALS
    DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256
    DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL DOWNSTREAM_PEER_SERIAL
    DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_TLS_CIPHER
    DOWNSTREAM_TLS_GROUP DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_VERSION GRPC_STATUS PROTOCOL
    REQUESTED_SERVER_NAME RESPONSE_FLAGS RESPONSE_FLAGS_LONG SPAN_ID TLS_JA3_FINGERPRINT
    TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID UPSTREAM_CONNECTION_IDS_ATTEMPTED
    UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HOST UPSTREAM_HOSTS_ATTEMPTED
    UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS
    UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_PROTOCOL UPSTREAM_REMOTE_ADDRESS
    UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_TLS_CIPHER
    UPSTREAM_TLS_GROUP UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION
"""
_ANYTHING: Final = """
    " CONNECTION_TERMINATION_DETAILS DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN
    DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN
    DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_CERT
    DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_DNS_SAN
    DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER
    DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN
    DOWNSTREAM_TRANSPORT_FAILURE_REASON EMIT_TIME EMIT_TIME_LOCAL ENVIRONMENT PATH QUERY_PARAM
    QUERY_PARAMS REQ REQUEST_HEADER REQ_WITHOUT_QUERY RESP RESPONSE_HEADER RESPONSE_TRAILER
    START_TIME START_TIME_LOCAL STREAM_ID TRAILER UPSTREAM_LOCAL_CLOSE_REASON
    UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_SUBJECT UPSTREAM_LOCAL_URI_SAN
    UPSTREAM_PEER_CERT UPSTREAM_PEER_CERT_V_END UPSTREAM_PEER_CERT_V_START UPSTREAM_PEER_DNS_SAN
    UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN
    UPSTREAM_SERVER_NAME UPSTREAM_TRANSPORT_FAILURE_REASON
"""
_NAMES: Final = """
    CUSTOM_FLAGS FILTER_CHAIN_NAME HOSTNAME ROUTE_NAME UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW
    UPSTREAM_HOST_NAME UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT
    UPSTREAM_HOST_NAME_WITHOUT_PORT VIRTUAL_CLUSTER_NAME
"""
_JSONS: Final = """
    CEL CLUSTER_METADATA COALESCE DYNAMIC_METADATA FILTER_STATE LOCAL_REPLY_BODY METADATA
    TYPED_CEL UPSTREAM_FILTER_STATE UPSTREAM_METADATA
"""
_WRITES: Final[dict[str, str]] = (
    dict.fromkeys(_ANYTHING.split(), FREE)
    | dict.fromkeys(_JSONS.split(), JSON)
    | dict.fromkeys(_NAMES.split(), NAME)
    | dict.fromkeys(_WORDS.split(), WORD)
    | dict.fromkeys(_NUMBERS.split(), NUMBER)
    | {"RESPONSE_CODE_DETAILS": BARE}
)
MIXER_STATUS: Final = "%DYNAMIC_METADATA(istio.mixer:status)%"
"""In Istio's default formats up to 1.7: a word, never JSON."""
NAMES: Final = frozenset(_WRITES)
"""Every operator that is known."""
NEED_PARAMETER: Final = _HEADERS | {
    "CEL", "CLUSTER_METADATA", "COALESCE", "COMMON_DURATION", "DYNAMIC_METADATA", "ENVIRONMENT",
    "FILTER_STATE", "METADATA", "QUERY_PARAM", "TYPED_CEL", "UPSTREAM_FILTER_STATE",
    "UPSTREAM_METADATA",
}  # fmt: skip
TIMES: Final = frozenset({"START_TIME", "START_TIME_LOCAL"})


def headers_of(operator: Operator) -> list[str]:
    """The headers that `REQ(X?Y)` asks for, in capitals; empty for other operators."""
    if operator.name not in _HEADERS:
        return []
    return [header.strip().upper() for header in (operator.parameter or "").split("?")]


def writes(operator: Operator) -> str:
    """What an operator may write: the class of its characters, one of those above."""
    if operator.name in _REQUEST:
        kinds = {_PSEUDO.get(header, FREE) for header in headers_of(operator)}
        return kinds.pop() if len(kinds) == 1 else FREE
    if operator.name == "RESPONSE_CODE_DETAILS" and operator.parameter:
        return FREE  # ALLOW_WHITESPACES
    if operator.text == MIXER_STATUS:
        return FREE
    return _WRITES[operator.name]


_OWN_FIELDS: Final[dict[str, tuple[str, int]]] = {
    "START_TIME": ("start", 0),
    "START_TIME_LOCAL": ("start", 1),
    "DURATION": ("duration", 0),
    "RESPONSE_CODE": ("code", 0),
    "RESPONSE_FLAGS": ("flags", 0),
    "RESPONSE_FLAGS_LONG": ("flags", 1),
    "RESPONSE_CODE_DETAILS": ("details", 0),
    "BYTES_RECEIVED": ("bytes_received", 0),
    "BYTES_SENT": ("bytes_sent", 0),
    "PATH": ("path", 1),
    "REQ_WITHOUT_QUERY": ("path", 4),
    "STREAM_ID": ("request_id", 1),  # of HTTP it is the request id, where there is one
    "UPSTREAM_HOST": ("upstream_host", 0),
    "UPSTREAM_REMOTE_ADDRESS": ("upstream_host", 1),
    "UPSTREAM_CLUSTER_RAW": ("cluster", 0),
    "UPSTREAM_CLUSTER": ("cluster", 1),
    "UPSTREAM_LOCAL_ADDRESS": ("upstream_local", 0),
    "DOWNSTREAM_LOCAL_ADDRESS": ("downstream_local", 0),
    "DOWNSTREAM_REMOTE_ADDRESS": ("downstream_remote", 0),
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": ("downstream_remote", 1),
    "ROUTE_NAME": ("route", 0),
    "UNIQUE_ID": ("stream_id", 0),
    "HOSTNAME": ("pod", 1),
}
_REQUEST_FIELDS: Final[dict[str, tuple[str, int]]] = {
    ":METHOD": ("method", 0),
    "X-ENVOY-ORIGINAL-PATH?:PATH": ("path", 0),
    ":PATH": ("path", 2),
    "X-FORWARDED-FOR": ("forwarded_for", 0),
    "USER-AGENT": ("user_agent", 0),
    "X-REQUEST-ID": ("request_id", 0),
    ":AUTHORITY": ("authority", 0),
    "X-ENVOY-ORIGINAL-HOST?:AUTHORITY": ("authority", 0),
    "HOST": ("authority", 1),
    "X-ENVOY-ATTEMPT-COUNT": ("attempt", 0),
}
_ENVIRONMENT: Final = {
    "POD_NAME": ("pod", 0),
    "HOSTNAME": ("pod", 1),
    "POD_NAMESPACE": ("namespace", 0),
}
_WHOLE_REQUEST: Final = ("DS_RX_BEG:DS_TX_END:ms", "DS_RX_BEG:DS_TX_END:us",
                         "DS_RX_BEG:DS_TX_END:ns")  # fmt: skip


def field_of(operator: Operator) -> tuple[str, int] | None:
    """Which field of an access log an operator writes, and how well: 0 is best. None: none."""
    name, parameter = operator.name, operator.parameter or ""
    if name in _REQUEST:
        return _REQUEST_FIELDS.get("?".join(headers_of(operator)))
    if name == "COMMON_DURATION":
        return ("duration", 1) if parameter in _WHOLE_REQUEST else None
    if name == "ENVIRONMENT":
        return _ENVIRONMENT.get(parameter)
    if name == "REQUESTED_SERVER_NAME":
        return None if "FIRST" in parameter else ("server_name", 0)
    if name == "PATH" and parameter.startswith("NQ"):
        return "path", 3
    return _OWN_FIELDS.get(name)
