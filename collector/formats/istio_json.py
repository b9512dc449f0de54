"""Istio's default JSON access log, with the keys and types of every release.

Numbers come as numbers, as floats (Istio 1.22.0 to 1.22.2) or as text (1.1 to 1.7); what is
missing is null, `-`, empty or left out (`omit_empty_values`).
Source: istio/istio telemetry_logging.go, and the issues named in CONTRIBUTING.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collector.formats.fields import attempt_count
from collector.formats.timestamps import parse_time
from collector.records import AccessLog

_Number = int | float | str | None


class _Fields(msgspec.Struct, gc=False):
    """The keys of the format; all may be missing, unknown ones are skipped."""

    start_time: str | None = None
    method: str | None = None
    path: str | None = None
    response_code: _Number = None
    response_flags: str | None = None
    response_code_details: str | None = None
    bytes_received: _Number = None
    bytes_sent: _Number = None
    duration: _Number = None
    x_forwarded_for: str | msgspec.UnsetType | None = msgspec.UNSET
    user_agent: str | None = None
    request_id: str | None = None
    authority: str | None = None
    upstream_host: str | None = None
    upstream_cluster: str | None = None
    upstream_local_address: str | None = None
    downstream_local_address: str | None = None
    downstream_remote_address: str | None = None
    requested_server_name: str | msgspec.UnsetType | None = msgspec.UNSET
    route_name: str | None = None
    attempt_count: _Number = None
    stream_id: str | None = None


_decode: Final = msgspec.json.Decoder(_Fields).decode
_LARGEST: Final = 2**62
_ENVOYS_OWN: Final = (
    '"downstream_remote_address"',
    '"response_code_details"',
    '"upstream_cluster"',
)
"""Keys that show that broken JSON was an access log: cut off, or with values of other types."""


def _text(value: str | None) -> str:
    """A field, empty when it is missing in any of the ways in use."""
    return "" if value is None or value == "-" else value


def _optional(value: str | msgspec.UnsetType | None) -> str | None:
    """As `_text`, but None when the format does not log the field at all."""
    return None if value is msgspec.UNSET else _text(value)


def _number(value: _Number) -> int:
    """A whole number in any of its notations; 0 when missing. Raises ValueError."""
    if value is None or value in ("-", ""):
        return 0
    number = int(float(value)) if isinstance(value, float | str) else value
    if not 0 <= number < _LARGEST:
        msg = "number out of range"
        raise ValueError(msg)
    return number


def parse_json(line: str) -> AccessLog | None:
    """Reads a line of Istio's default JSON format.

    Returns:
        The fields, or None when the line is JSON of another kind or no JSON.

    Raises:
        ValueError: when it is an access log with a field that cannot be read.
    """
    try:
        fields = _decode(line)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        if any(key in line for key in _ENVOYS_OWN):
            msg = "an access log that cannot be read"
            raise ValueError(msg) from error
        return None
    if not fields.start_time or fields.response_code is None:
        return None
    return _access_log(fields)


def _access_log(fields: _Fields) -> AccessLog:
    """The record of decoded fields. Raises ValueError, OverflowError for infinities."""
    stream_id = _text(fields.stream_id)  # %STREAM_ID% of HTTP is the request id, %UNIQUE_ID% not
    return AccessLog(
        parse_time(fields.start_time or ""),
        _number(fields.duration),
        _text(fields.method),
        _text(fields.path),
        _number(fields.response_code),
        _text(fields.response_flags),
        _text(fields.response_code_details),
        _number(fields.bytes_received),
        _number(fields.bytes_sent),
        _optional(fields.x_forwarded_for),
        _text(fields.user_agent),
        _text(fields.request_id),
        _text(fields.authority),
        _text(fields.upstream_host),
        _text(fields.upstream_cluster).rstrip(";"),  # Istio 1.23.0, istio/istio#54219
        _text(fields.upstream_local_address),
        _text(fields.downstream_local_address),
        _text(fields.downstream_remote_address),
        _optional(fields.requested_server_name),
        _text(fields.route_name),
        attempt_count(str(fields.attempt_count)),
        stream_id if stream_id != fields.request_id else "",
    )
