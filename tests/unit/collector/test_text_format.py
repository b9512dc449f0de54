"""Istio's default text format: strict where it can be, ambiguous where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.formats.istio_text import looks_like_text, parse_text
from tests.examples import MANY

DATA = Path(__file__).parents[2] / "data" / "lines"
ID = "46ce024f-97b3-4a45-8f73-2d4ef365608d"


def text(
    *,
    request: str = "GET /weather HTTP/1.1",
    status: str = '200 - via_upstream - "-" 0 100 4 3',
    forwarded: str = "-",
    agent: str = "curl/7.52.1",
    request_id: str = ID,
    authority: str = "forecast:3002",
    tail: str = "inbound|3002|| 127.0.0.1:1 10.0.0.1:3002 10.0.0.2:0 - default",
) -> str:
    """A line as Envoy writes it, with what the client sent put in unescaped."""
    return (
        f'[2026-11-22T15:11:42.900Z] "{request}" {status} "{forwarded}" "{agent}" '
        f'"{request_id}" "{authority}" "127.0.0.1:16103" {tail}'
    )


def read(name: str) -> list[str]:
    """Lines of real Envoy proxies."""
    return (DATA / name).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", read("envoy_text.log"))
def test_lines_of_real_proxies_are_read_without_doubt(line: str) -> None:
    """Senders, receivers, copies, retries, aborts, outages."""
    log = parse_text(line)

    assert log is not None
    assert not log.ambiguous
    assert log.authority.removesuffix(":3002") in ("forecast", "forecast-shadow")
    assert log.cluster.startswith(("outbound|3002|v2|", "inbound|3002||"))


@pytest.mark.parametrize("line", read("hostile_plain.log"))
def test_odd_values_without_quotes_are_no_doubt(line: str) -> None:
    """UTF-8, tabs, blanks in ids, ids that are no UUID."""
    log = parse_text(line)

    assert log is not None
    assert not log.ambiguous
    assert log.request_id


@pytest.mark.parametrize("line", read("hostile_quotes.log"))
def test_extra_quotes_of_real_clients_make_a_line_ambiguous(line: str) -> None:
    """Head and tail are Envoy's own and are read all the same."""
    log = parse_text(line)

    assert log is not None
    assert log.ambiguous
    assert (log.code, log.authority) == (200, "forecast:3002")
    assert log.cluster == "outbound|3002|v2|forecast.weather.svc.cluster.local"


def test_every_field_is_read() -> None:
    """Of a sender's line with something in each field."""
    log = parse_text(
        '[2026-11-22T15:11:42.900Z] "POST /a?b=c HTTP/2" 503 URX,UF reset{x} tls "TLS error: 1" '
        '7 98 41 39 "192.0.2.2,10.0.0.1" "agent (x; y)" "the id" "shop.example.com" "10.0.0.1:80" '
        "outbound|80|v2|shop 10.0.0.2:1 10.0.0.3:2 10.0.0.4:3 outbound_.80_._.shop my-route"
    )

    assert log is not None
    assert (log.method, log.path, log.code) == ("POST", "/a?b=c", 503)
    assert (log.flags, log.details) == ("URX,UF", "reset{x}")
    assert (log.bytes_received, log.bytes_sent, log.duration_ms) == (7, 98, 41)
    assert (log.forwarded_for, log.user_agent) == ("192.0.2.2,10.0.0.1", "agent (x; y)")
    assert (log.request_id, log.authority) == ("the id", "shop.example.com")
    assert (log.upstream_host, log.cluster) == ("10.0.0.1:80", "outbound|80|v2|shop")
    assert (log.upstream_local, log.downstream_local) == ("10.0.0.2:1", "10.0.0.3:2")
    assert (log.downstream_remote, log.server_name) == ("10.0.0.4:3", "outbound_.80_._.shop")
    assert (log.route, log.end_us - log.start_us) == ("my-route", 41_000)


def test_what_was_not_logged_is_empty() -> None:
    """Envoy writes a hyphen."""
    log = parse_text(
        '[2026-11-22T15:11:42.900Z] "- - HTTP/1.1" 400 DPE http1.codec_error - "-" - 11 - - '
        '"-" "-" "-" "-" "-" - - 10.0.0.1:80 10.0.0.2:1 - -'
    )

    assert log is not None
    assert (log.method, log.path, log.forwarded_for, log.user_agent) == ("", "", "", "")
    assert (log.request_id, log.authority, log.upstream_host, log.cluster) == ("", "", "", "")
    assert (log.server_name, log.route, log.details) == ("", "", "http1.codec_error")
    assert (log.bytes_received, log.duration_ms) == (0, 0)


def test_hyphens_inside_values_stay() -> None:
    """Only a lone one means nothing."""
    log = parse_text(text(agent="-a", request_id="--", forwarded="- "))

    assert log is not None
    assert (log.user_agent, log.request_id, log.forwarded_for) == ("-a", "--", "- ")


def test_a_forged_agent_does_not_choose_the_request_id() -> None:
    """The classic: a user agent that carries the next fields (envoyproxy/envoy#4191)."""
    forged = 'x" "11111111-1111-1111-1111-111111111111" "evil.host" "9.9.9.9:80'

    log = parse_text(text(agent=forged))

    assert log is not None
    assert log.ambiguous
    assert (log.request_id, log.authority, log.user_agent) == (ID, "forecast:3002", "")


@pytest.mark.parametrize(
    "fields",
    [
        {"agent": '"'},
        {"agent": 'a"b'},
        {"agent": '" "'},
        {"forwarded": '1.1.1.1" "UA2'},
        {"request_id": 'a" "b c'},
        {"request_id": '"'},
        {"agent": 'x" "id" "h" "u" inbound|3002|| - - - - - "'},
        {"forwarded": '" "', "agent": '" "', "request_id": '" "'},
    ],
)
def test_a_quote_in_any_header_makes_the_line_ambiguous(fields: dict[str, str]) -> None:
    """Never evidence, never an error."""
    log = parse_text(text(**fields))

    assert log is not None
    assert log.ambiguous
    assert log.authority == "forecast:3002"


def test_a_quote_in_the_path_is_no_doubt() -> None:
    """A path holds no blank, so that the request field has one reading."""
    log = parse_text(text(request='GET /d"x"?" HTTP/1.1'))

    assert log is not None
    assert (log.path, log.ambiguous) == ('/d"x"?"', False)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[",
        "[2026-11-22T15:11:42.900Z]",
        text()[:-40],
        text()[:60],
        text() + " more",
        text(tail="inbound|3002|| 127.0.0.1:1 10.0.0.1:3002 10.0.0.2:0 -"),
        text(status='200 - "-" 0 100 4 3'),
        text(status='200 - via_upstream - "-" -1 100 4 3'),
        text(status='abc - via_upstream - "-" 0 100 4 3'),
        text(status='200 - via_upstream - "-" 0 1e3 4 3'),
        text(request="GET /weather"),
        text(request="GET  HTTP/1.1"),
        text().replace("Z]", "]"),
        text().replace("2026", "Z"),
        text().replace("[2026-11-22T15:11:42.900Z]", "[Z]"),
        text().replace('" "', '"  "', 1),
        text(agent='"', tail="x"),
        "[" + '" ' * 40,
        "plain words",
    ],
)
def test_anything_else_is_refused(line: str) -> None:
    """Cut off, of another format, with impossible values."""
    assert parse_text(line) is None


def test_a_line_cut_off_anywhere_is_never_read_as_another_request() -> None:
    """Shippers cut lines at 16 kB, and at rotation."""
    line = text(agent='quoted "agent"')

    for end in range(len(line) - len("default")):
        assert parse_text(line[:end]) is None


@pytest.mark.parametrize(
    ("line", "looks"), [(text(), True), (text()[:60], True), ("[info] x", False)]
)
def test_whether_a_line_claims_to_be_an_access_log(line: str, looks: bool) -> None:
    """A defect is quarantined, application output is skipped."""
    assert looks_like_text(line) is looks


@settings(max_examples=120 * MANY)
@given(*[st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12)] * 3)
def test_header_values_without_quotes_are_read_back_exactly(
    forwarded: str, agent: str, request_id: str
) -> None:
    """And with quotes the line is ambiguous: there is no third way."""
    log = parse_text(text(forwarded=forwarded, agent=agent, request_id=request_id))

    assert log is not None
    assert log.ambiguous is ('"' in forwarded + agent + request_id)
    if not log.ambiguous:
        sent = (forwarded, agent, request_id)
        assert (log.forwarded_for, log.user_agent, log.request_id) == tuple(
            "" if value == "-" else value for value in sent
        )


@settings(max_examples=100 * MANY)
@given(st.lists(st.sampled_from(['"', " ", "-", "x", '" "', "0", "|", "]"]), max_size=60))
def test_no_arrangement_of_quotes_and_blanks_raises(pieces: list[str]) -> None:
    """Neither alone nor inside a line."""
    noise = "".join(pieces)

    for line in (noise, f"[{noise}", text(agent=noise), text(request=noise), text() + noise):
        log = parse_text(line)
        assert log is None or log.start_us > 0


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ['"', " ", '" ', ' "', '" "', '"-" ', "a b ", "[", "]", "|", "-", '""" ']
)
def test_a_long_hostile_line_does_not_hang(piece: str) -> None:
    """128 kB of what makes careless expressions try all ways: before, inside, behind."""
    noise = (piece * 128_000)[:128_000]
    lines = [
        noise,
        f"[{noise}",
        f'[2026-11-22T15:11:42.900Z] "{noise}',
        text(agent=noise),
        text(request_id=noise),
        text(authority=noise),
        text(request=f"GET {noise} HTTP/1.1"),
        text(status=noise),
        text(tail=noise),
        text() + noise,
    ]

    for line in lines:
        parse_text(line)
