"""Every release's default formats, each with a line as that release writes it."""

from __future__ import annotations

import json

import pytest

from collector.formats.known import ENVOY_TEXT, ISTIO_JSON, ISTIO_TEXT, default_json, newest_text
from collector.formats.parse import Ignored, LineParser, Quarantined
from collector.records import AccessLog
from verifier.demo.access_log import JSON_FORMAT, TEXT_FORMAT

ID = "84961386-6d84-929d-98bd-c5aee93b5c88"
HEAD = '[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 -'
SIZES = f'0 135 4 3 "-" "curl/7.73.0-DEV" "{ID}" "httpbin:8000"'
CLIENT = (
    '"10.44.1.27:80" outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 '
    "10.0.45.184:8000 10.44.1.23:46520 -"
)
SERVER = (
    '"127.0.0.1:80" inbound|8000|| 127.0.0.1:41854 10.44.1.27:80 10.44.1.23:37652 '
    "outbound_.8000_._.httpbin.foo.svc.cluster.local"
)
OLD_SERVER = SERVER.replace("inbound|8000||", "inbound|8000|http|httpbin.foo.svc.cluster.local")
# Release, what stands between flags and sizes, the tail: mirroring facts 2.1.
ROWS = [
    ("Istio 1.1, text", '"-"', CLIENT),
    ("Istio 1.1, text", '"-"', OLD_SERVER),
    ("Istio 1.2, text", '"-" "-"', CLIENT),
    ("Istio 1.2, text", '"-" "TLS error: 268435581"', OLD_SERVER),
    ("Istio 1.3 to 1.7, text", '"-" "-"', f"{CLIENT} default"),
    ("Istio 1.3 to 1.7, text", '"UNAVAILABLE:check failed" "-"', f"{OLD_SERVER} default"),
    ("Istio 1.8, text", '"-"', f"{CLIENT} default"),
    ("Istio 1.8, text", '"upstream connect error"', f"{SERVER} default"),
    ("Istio 1.9 or later, text", 'via_upstream - "-"', f"{CLIENT} default"),
    ("Istio 1.9 or later, text", 'via_upstream - "TLS error: 1"', f"{SERVER} default"),
]


def read(line: str) -> tuple[AccessLog, str]:
    """The record of a line, and the name of its format."""
    log, name = LineParser().identify(line)
    assert isinstance(log, AccessLog), log
    return log, name


@pytest.mark.parametrize(("name", "between", "tail"), ROWS)
def test_each_release_of_istio_is_read(name: str, between: str, tail: str) -> None:
    """Its text layout, of a sender and of a receiver."""
    log, found = read(f"{HEAD} {between} {SIZES} {tail}")

    assert found == name
    assert not log.ambiguous
    assert (log.method, log.path, log.code) == ("GET", "/status/418", 418)
    assert (log.bytes_sent, log.duration_ms, log.request_id) == (135, 4, ID)
    assert (log.authority, log.user_agent) == ("httpbin:8000", "curl/7.73.0-DEV")
    assert log.cluster.partition("|")[0] == ("outbound" if tail.startswith(CLIENT) else "inbound")
    assert log.server_name == ("" if tail.startswith(CLIENT) else SERVER.rpartition(" ")[2])
    assert log.route == ("default" if tail.endswith("default") else "")
    assert log.details == ("via_upstream" if "1.9" in name else "")
    assert log.forwarded_for == ""


def test_envoys_own_default_is_read() -> None:
    """It names no cluster: only its pod tells which side a line is of."""
    log, name = read(f'{HEAD} {SIZES} "10.44.1.27:80"')

    assert name == "Envoy's default, text"
    assert (log.code, log.request_id, log.upstream_host) == (418, ID, "10.44.1.27:80")
    assert (log.cluster, log.server_name) == ("", None)


@pytest.mark.parametrize(("name", "between", "tail"), ROWS)
def test_quotes_of_a_client_are_ambiguous_in_each_release(
    name: str, between: str, tail: str
) -> None:
    """The request id is that of the request, not of the forgery."""
    forged = SIZES.replace("curl/7.73.0-DEV", 'x" "11111111-1111-1111-1111-111111111111" "evil')

    log, _ = read(f"{HEAD} {between} {forged} {tail}")

    assert log.ambiguous, name
    assert (log.request_id, log.authority) == (ID, "httpbin:8000")


@pytest.mark.parametrize(("name", "between", "tail"), ROWS)
def test_a_line_cut_off_is_of_no_release(name: str, between: str, tail: str) -> None:
    """What is left of one must not pass for another, up to the TLS server name.

    Without the route behind it, a line of 1.8 is one of 1.1.
    """
    line = f"{HEAD} {between} {SIZES} {tail}"
    sure = line.rindex(" ", 0, line.rindex(" "))

    for end in range(sure + 1):
        found, other = LineParser().identify(line[:end])
        assert not isinstance(found, AccessLog) or found.ambiguous, (line[:end], other)


@pytest.mark.parametrize("between", ['"-"', '"-" "-"', 'x - "-"'])
def test_tcp_lines_of_each_release_are_skipped(between: str) -> None:
    """They are no HTTP, whatever the layout."""
    line = (
        f'[2020-11-25T21:26:18.409Z] "- - -" 0 - {between} 12 34 5 - "-" "-" "-" "-" '
        '"10.0.0.1:5" outbound|5||db.x.svc.cluster.local 10.0.0.1:80 10.0.0.2:1 10.0.0.3:1 - -'
    )

    assert LineParser().parse(line) == Ignored("not HTTP")


def test_the_demo_writes_the_formats_of_today() -> None:
    """Both say the same, so that one of them cannot grow old alone."""
    assert TEXT_FORMAT.removesuffix("\n") == ISTIO_TEXT["Istio 1.23 or later"]
    assert JSON_FORMAT == ISTIO_JSON


@pytest.mark.parametrize("text", [*ISTIO_TEXT.values(), ENVOY_TEXT])
def test_naming_a_default_format_changes_nothing(text: str) -> None:
    """It keeps its fast parser."""
    assert not LineParser([type(newest_text())(text)]).has_texts


def json_line(**changes: object) -> str:
    """A line of the newest JSON format; `...` leaves a key out."""
    values: dict[str, object] = {
        "start_time": "2020-11-25T21:26:18.409Z", "route_name": "default", "method": "GET",
        "path": "/status/418", "protocol": "HTTP/1.1", "response_code": 418,
        "response_flags": "-", "response_code_details": "via_upstream",
        "connection_termination_details": None, "bytes_received": 0, "bytes_sent": 135,
        "duration": 4, "upstream_service_time": "3", "x_forwarded_for": None,
        "user_agent": "curl", "request_id": ID, "authority": "httpbin:8000",
        "upstream_host": "127.0.0.1:80", "upstream_cluster": "inbound|8000||",
        "upstream_local_address": "127.0.0.1:41854", "downstream_local_address": "10.0.0.1:80",
        "downstream_remote_address": "10.0.0.2:1", "requested_server_name": None,
        "upstream_transport_failure_reason": None,
    }  # fmt: skip
    return json.dumps({k: v for k, v in (values | changes).items() if v is not ...})


STRINGS = {
    "response_code": "418", "bytes_received": "0", "bytes_sent": "135", "duration": "4",
    "x_forwarded_for": "-", "requested_server_name": "-",
}  # fmt: skip
LATER = {
    "upstream_transport_failure_reason": ...,
    "response_code_details": ...,
    "connection_termination_details": ...,
}


@pytest.mark.parametrize(
    ("changes", "details", "route"),
    [
        ({**STRINGS, **LATER, "istio_policy_status": "-", "route_name": ...}, "", ""),
        ({**STRINGS, **LATER, "istio_policy_status": "-"}, "", "default"),
        (LATER, "", "default"),
        ({}, "via_upstream", "default"),
        ({"response_code": 418.0, "duration": 4.0, "bytes_sent": 135.0}, "via_upstream", "default"),
        ({"upstream_cluster": "inbound|8000||;"}, "via_upstream", "default"),
        ({"x_forwarded_for": "", "response_flags": ...}, "via_upstream", "default"),
    ],
    ids=["1.1", "1.2 to 1.7", "1.8", "1.9", "1.22.0 floats", "1.23.0 semicolon", "omitted"],
)
def test_each_release_of_istio_is_read_in_json(
    changes: dict[str, object], details: str, route: str
) -> None:
    """Text for numbers, floats, keys that were not there yet, a cluster with a semicolon."""
    log, name = read(json_line(**changes))

    assert name == "Istio, JSON"
    assert (log.code, log.bytes_sent, log.duration_ms) == (418, 135, 4)
    assert (log.details, log.route, log.cluster) == (details, route, "inbound|8000||")
    assert (log.flags, log.forwarded_for, log.request_id) == ("", "", ID)


def test_compiled_json_reads_what_the_fast_parser_reads() -> None:
    """The default format as if a user had named it."""
    assert default_json().parse(json_line()) == LineParser().parse(json_line())


def test_a_stream_id_that_is_the_request_id_is_no_identity_of_a_line() -> None:
    """Envoy writes the request id for STREAM_ID: three attempts would count as one line."""
    assert read(json_line(stream_id=ID))[0].stream_id == ""
    assert read(json_line(stream_id="7f3c"))[0].stream_id == "7f3c"


def test_an_attempt_count_that_a_client_made_up_is_none() -> None:
    """It must not make the line unreadable."""
    assert read(json_line(attempt_count="many"))[0].attempt == 0
    assert not isinstance(LineParser().parse(json_line(attempt_count=-1)), Quarantined)
