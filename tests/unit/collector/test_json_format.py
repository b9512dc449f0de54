"""Istio's default JSON format with the types of every release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.formats.istio_json import parse_json
from collector.formats.parse import parse_line
from collector.records import AccessLog

DATA = Path(__file__).parents[2] / "data" / "lines"
REAL = (DATA / "envoy_json.log").read_text(encoding="utf-8").splitlines()


def line(**fields: object) -> str:
    """A real line with some fields changed; `...` leaves a key out."""
    values = json.loads(REAL[1]) | fields
    return json.dumps({key: value for key, value in values.items() if value is not ...})


def read(**fields: object) -> AccessLog:
    """The record of such a line."""
    log = parse_json(line(**fields))
    assert log is not None
    return log


@pytest.mark.parametrize("text", REAL)
def test_lines_of_real_proxies_are_read(text: str) -> None:
    """Sender, receiver, copy."""
    log = parse_json(text)

    assert log is not None
    assert log.code == 200
    assert log.request_id == "46ce024f-97b3-4a45-8f73-2d4ef365608d"
    assert not log.ambiguous


def test_json_and_text_of_one_event_are_one_record() -> None:
    """So that pods with different formats can be paired."""
    fields = json.loads(REAL[1])
    text = (
        '[{start_time}] "{method} {path} {protocol}" {response_code} {response_flags} '
        '{response_code_details} - "-" {bytes_received} {bytes_sent} {duration} '
        '{upstream_service_time} "-" "{user_agent}" "{request_id}" "{authority}" '
        '"{upstream_host}" {upstream_cluster} {upstream_local_address} '
        "{downstream_local_address} {downstream_remote_address} - {route_name}"
    ).format(**fields)

    assert parse_line(text) == parse_line(REAL[1])


@pytest.mark.parametrize("value", [200, 200.0, "200", "200.0"])
def test_numbers_in_every_notation(value: object) -> None:
    """Numbers, floats (Istio 1.22.0), text (1.7)."""
    log = read(response_code=value, duration=value, bytes_sent=value, bytes_received=value)

    assert (log.code, log.duration_ms) == (200, 200)
    assert (log.bytes_sent, log.bytes_received) == (200, 200)


@pytest.mark.parametrize("value", [None, "-", "", ...])
def test_missing_values_in_every_notation(value: object) -> None:
    """Null, hyphen, empty, left out (`omit_empty_values`)."""
    log = read(
        user_agent=value, request_id=value, response_flags=value, route_name=value,
        upstream_host=value, upstream_cluster=value, duration=value, bytes_sent=value,
    )  # fmt: skip

    assert (log.user_agent, log.request_id, log.flags, log.route) == ("", "", "", "")
    assert (log.upstream_host, log.cluster, log.duration_ms, log.bytes_sent) == ("", "", 0, 0)


@pytest.mark.parametrize("value", [None, "-", ""])
def test_addresses_that_are_logged_as_nothing_are_not_those_that_are_not_logged(value) -> None:
    """An empty X-Forwarded-For marks a live request; a format without it marks nothing."""
    assert read(x_forwarded_for=value).forwarded_for == ""
    assert read(x_forwarded_for=...).forwarded_for is None
    assert read(requested_server_name=value).server_name == ""
    assert read(requested_server_name=...).server_name is None


def test_recommended_extra_keys_are_read() -> None:
    """Attempt count and stream id, where a user logs them."""
    log = read(attempt_count="2", stream_id="1234")

    assert (log.attempt, log.stream_id) == (2, "1234")


def test_unknown_keys_and_nested_ones_are_skipped() -> None:
    """Users add their own."""
    assert read(mesh={"a": [1, {"b": None}]}, x=1.5).code == 200


def test_quotes_are_safe_in_json() -> None:
    """Envoy escapes them."""
    log = read(user_agent='x" "forged" "h"', request_id='a" "b')

    assert (log.user_agent, log.request_id) == ('x" "forged" "h"', 'a" "b')
    assert not log.ambiguous


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{",
        '{"level":"info","msg":"started"}',
        '{"method":5}',
        '{"start_time":"2026-11-22T15:11:42.902Z"}',
        '{"response_code":200}',
        "[1]",
        "null",
        "{" * 100_000,
        '{"a":' * 50_000,
    ],
)
def test_other_json_is_no_access_log(text: str) -> None:
    """Applications log JSON too."""
    assert parse_json(text) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"response_code": -1},
        {"response_code": "abc"},
        {"duration": 1e400},
        {"duration": "NaN"},
        {"duration": "1" * 5000},
        {"bytes_sent": 2**70},
        {"bytes_sent": "-5"},
        {"start_time": "yesterday"},
        {"start_time": "Z"},
        {"method": 5},
        {"path": ["/"]},
    ],
)
def test_an_access_log_with_an_impossible_value_is_a_defect(fields: dict[str, object]) -> None:
    """Not skipped as if it were an application's line."""
    text = line(**fields).replace("Infinity", "1e400")

    with pytest.raises((ValueError, OverflowError)):
        parse_json(text)


@pytest.mark.parametrize("length", [300, 500, 700])
def test_an_access_log_that_was_cut_off_is_a_defect(length: int) -> None:
    """Its request must not be called missing for a shipper's cut."""
    with pytest.raises(ValueError, match="cannot be read"):
        parse_json(REAL[0][:length])
