"""Text formats of users: compiled, and read with the same caution as the default ones."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.formats.custom_text import TextFormat
from collector.formats.known import ENVOY_TEXT, ISTIO_TEXT
from collector.records import AccessLog
from tests.envoy_format import operators_of, values_of, write_text
from tests.examples import MANY

PIPES = (
    "%START_TIME%|%REQ(:METHOD)%|%REQ(:PATH)%|%RESPONSE_CODE%|%REQ(USER-AGENT)%|"
    "%REQ(X-REQUEST-ID)%|%REQ(:AUTHORITY)%|%UPSTREAM_HOST%"
)
WORDS = (
    "ts=%START_TIME(%s.%3f)% m=%REQ(:METHOD)% p=%REQ(:PATH)% c=%RESPONSE_CODE% "
    "ua=%REQ(USER-AGENT)% id=%REQ(X-REQUEST-ID)% h=%REQ(:AUTHORITY)%"
)
OPERATORS = (
    "%REQ(:METHOD)%", "%REQ(:PATH)%", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "%PROTOCOL%",
    "%RESPONSE_FLAGS%", "%RESPONSE_CODE_DETAILS%", "%BYTES_SENT%", "%DURATION%",
    "%REQ(X-FORWARDED-FOR)%", "%REQ(USER-AGENT)%", "%REQ(X-REQUEST-ID)%", "%REQ(:AUTHORITY)%",
    "%UPSTREAM_HOST%", "%UPSTREAM_CLUSTER_RAW%", "%DOWNSTREAM_REMOTE_ADDRESS%",
    "%REQUESTED_SERVER_NAME%", "%ROUTE_NAME%", "%DYNAMIC_METADATA(a:b)%",
    "%UPSTREAM_TRANSPORT_FAILURE_REASON%", "%RESP(X-A)%", "%CEL(request.host)%",
)  # fmt: skip
LITERALS = (" ", '" "', '"', "|", "\t", '" ', ' "', ", ", " id=", "=", "-", "] [", "} {", ' ua="')
TIMES = ("%START_TIME%", "%START_TIME(%s.%3f)%", "%START_TIME(%d/%b/%Y:%H:%M:%S %z)%",
         "%START_TIME(%s)%")  # fmt: skip
EXAMPLES = settings(max_examples=40 * MANY)


def read(text: str, line: str) -> AccessLog:
    """The record of a line of a format."""
    log = TextFormat(text).parse(line)
    assert log is not None
    return log


@st.composite
def formats(draw: st.DrawFn) -> str:
    """Formats of any operators in any order with anything between."""
    chosen = draw(st.lists(st.sampled_from(OPERATORS), unique=True, min_size=1, max_size=8))
    operators = draw(st.permutations([*chosen, draw(st.sampled_from(TIMES)), "%RESPONSE_CODE%"]))
    ends = st.sampled_from(("", *LITERALS))
    text = draw(ends)
    for number, operator in enumerate(operators):
        text += (draw(st.sampled_from(LITERALS)) if number else "") + operator
    return text + draw(ends)


@cache
def compiled(text: str) -> TextFormat:
    """A format; compiling it takes longer than reading a line."""
    return TextFormat(text)


def expected(text: str, values: list[str]) -> AccessLog:
    """The record that the values mean, read without any doubt: a value between rare characters."""
    operators = operators_of(text)
    sure = "\x01" + "\x01".join(one.text for one in operators) + "\x01"
    log = compiled(sure).parse("\x01" + "\x01".join(values) + "\x01")
    assert log is not None
    assert not log.ambiguous
    return log


@settings(EXAMPLES, max_examples=120 * MANY)
@given(st.data())
def test_a_line_is_read_as_it_was_written_or_is_ambiguous(data: st.DataObject) -> None:
    """Of any format and any values, hostile ones too: never a wrong value."""
    text = data.draw(formats())
    values = [data.draw(values_of(operator)) for operator in operators_of(text)]

    log = compiled(text).parse(write_text(text, values))

    assert log is None or log.ambiguous or log == expected(text, values)


@EXAMPLES
@given(st.data())
def test_a_line_without_odd_values_is_always_read(data: st.DataObject) -> None:
    """Of any format, as long as no value looks like what stands between values."""
    text = data.draw(formats()).replace("-", "~")
    values = [
        data.draw(values_of(one))
        if one.name == "START_TIME"
        else str(data.draw(st.integers(1, 999)))
        for one in operators_of(text)
    ]

    log = compiled(text).parse(write_text(text, values))

    assert log is not None
    assert log == expected(text, values)


@pytest.mark.parametrize("text", [*ISTIO_TEXT.values(), ENVOY_TEXT, PIPES, WORDS])
@EXAMPLES
@given(data=st.data())
def test_formats_in_use_are_read_right(text: str, data: st.DataObject) -> None:
    """As they are in meshes, with any values."""
    values = [data.draw(values_of(operator)) for operator in operators_of(text)]

    log = compiled(text).parse(write_text(text, values))

    assert log is None or log.ambiguous or log == expected(text, values)


ID = "46ce024f-97b3-4a45-8f73-2d4ef365608d"
TIME = "2026-11-22T15:11:42.900Z"


def test_every_field_is_read() -> None:
    """From operators in any order, under any of their names."""
    log = read(
        "%UPSTREAM_CLUSTER_RAW% %ROUTE_NAME% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE_DETAILS% "
        "%REQUEST_HEADER(:method)% %PATH(WQ:ORIG_OR_PATH)% %RESPONSE_CODE% %UNIQUE_ID% "
        "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %BYTES_RECEIVED% %BYTES_SENT% "
        '"%REQ(x-forwarded-for)%" "%REQ(USER-AGENT):20%" "%REQ(X-REQUEST-ID)%" "%REQ(HOST)%" '
        "%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% "
        "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% "
        '"%REQ(X-ENVOY-ATTEMPT-COUNT)%" "%ENVIRONMENT(POD_NAME)%" "%ENVIRONMENT(POD_NAMESPACE)%" '
        "%START_TIME(%s.%6f)%\n",
        "outbound|80|v2|shop default UpstreamConnectionFailure,UnknownFlag via_upstream "
        'GET /a?b=c 503 7f3c 41500 7 98 "192.0.2.2,10.0.0.1" "agent (x; y)" "the id" "shop" '
        "10.0.0.1:80 10.0.0.2:1 10.0.0.3:2 10.0.0.4:3 outbound_.80_._.shop "
        '"2" "shop-v1-5d8f9b7c6-abcde" "shops" 1795360302.900123',
    )

    assert (log.cluster, log.route, log.flags) == (
        "outbound|80|v2|shop",
        "default",
        "UF,UnknownFlag",
    )
    assert (log.details, log.method, log.path) == ("via_upstream", "GET", "/a?b=c")
    assert (log.code, log.duration_ms, log.stream_id) == (503, 41, "7f3c")
    assert (log.bytes_received, log.bytes_sent) == (7, 98)
    assert (log.forwarded_for, log.user_agent) == ("192.0.2.2,10.0.0.1", "agent (x; y)")
    assert (log.request_id, log.authority) == ("the id", "shop")
    assert (log.upstream_host, log.upstream_local) == ("10.0.0.1:80", "10.0.0.2:1")
    assert (log.downstream_local, log.downstream_remote) == ("10.0.0.3:2", "10.0.0.4:3")
    assert (log.server_name, log.attempt) == ("outbound_.80_._.shop", 2)
    assert (log.pod, log.namespace) == ("shop-v1-5d8f9b7c6-abcde", "shops")
    assert log.start_us == 1_795_360_302_900_123


def test_what_the_format_does_not_log_is_not_what_envoy_logs_as_nothing() -> None:
    """Without X-Forwarded-For in the format nothing is known; a hyphen means that it is empty."""
    short = read("%START_TIME% %RESPONSE_CODE%", f"{TIME} 200")
    full = read("%START_TIME% %RESPONSE_CODE% %REQ(X-FORWARDED-FOR)%", f"{TIME} 200 -")

    assert (short.forwarded_for, short.server_name) == (None, None)
    assert (full.forwarded_for, full.server_name) == ("", None)


def test_the_best_operator_of_a_field_is_taken() -> None:
    """A whole value before one that is cut, the header before what only stands in for it."""
    text = "%STREAM_ID% %REQ(X-REQUEST-ID):4% %REQ(X-REQUEST-ID)% %START_TIME% %RESPONSE_CODE%"
    log = read(text.replace(" ", "|"), f"stream|46ce|{ID}|{TIME}|200")

    assert log.request_id == ID


def test_an_attempt_count_that_a_client_made_up_is_none() -> None:
    """It must not make the line unreadable."""
    log = read("%START_TIME%|%RESPONSE_CODE%|%REQ(X-ENVOY-ATTEMPT-COUNT)%", f"{TIME}|200|many")

    assert log.attempt == 0


@pytest.mark.parametrize("agent", ["a|b", "|", f"x|{ID}|evil|outbound|80||x", "||"])
def test_a_separator_in_a_header_makes_the_line_ambiguous(agent: str) -> None:
    """Its request id, taken from the right, only tells which lines belong together."""
    log = read(PIPES, f"{TIME}|GET|/a|200|{agent}|{ID}|shop|10.0.0.7:80")

    assert log.ambiguous
    assert (log.request_id, log.authority) == (ID, "shop")


def test_words_that_look_like_a_key_make_the_line_ambiguous_only_where_they_fit() -> None:
    """Blanks alone are no doubt, where more than a blank separates."""
    line = f"ts=1795360302.900 m=GET p=/a?b=c c=200 ua={{}} id={ID} h=shop"

    assert not read(WORDS, line.format("Mozilla/5.0 (X11; Linux) a=b")).ambiguous
    assert read(WORDS, line.format("x id=forged")).ambiguous


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%START_TIME% %RESPONSE_CODES%", "character 14 .*did you mean %RESPONSE_CODE%"),
        ("%START_TIME% %MADE_UP(x)%", "%MADE_UP.x.% is no operator of Envoy"),
        ("%START_TIME%%RESPONSE_CODE%", "character 13 .*put a separator there"),
        ("%RESPONSE_CODE%", "no %START_TIME%: nothing says when"),
        ("%START_TIME%", "no %RESPONSE_CODE%: an answered request looks like"),
        ("", "no %START_TIME%"),
        ("%START_TIME% 100% %RESPONSE_CODE%", "character 17 .*%% for a per cent sign"),
        ("%START_TIME% %REQ% %RESPONSE_CODE%", "needs a parameter"),
        ("%START_TIME(%H:%M)% %RESPONSE_CODE%", "character 1 .*shows no date and time"),
        ("%START_TIME(%F %T.%Q)% %RESPONSE_CODE%", "unknown specifier %Q"),
        ("%START_TIME_LOCAL(%F %T)% %RESPONSE_CODE%", "may be hours off"),
        ("%START_TIME%\n%RESPONSE_CODE%", "character 13 .*line break"),
        ("x" * 20_000, "longer than"),
        ("%START_TIME% %RESPONSE_CODE%" + " %PROTOCOL%" * 500, "more than 200 operators"),
    ],
)
def test_a_format_that_cannot_be_read_is_refused_in_one_line(text: str, message: str) -> None:
    """It says what is wrong, where, and what to do."""
    with pytest.raises(UsageError, match=message) as caught:
        TextFormat(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\\n", ""])
def test_the_newline_at_the_end_may_be_written_in_any_way(end: str) -> None:
    """As in YAML, as in a shell, or not at all."""
    assert read("%START_TIME% %RESPONSE_CODE%" + end, f"{TIME} 200").code == 200


@pytest.mark.parametrize("line", ["", "x", TIME, f"{TIME} ", f"{TIME} abc", f"x {TIME} 200"])
def test_a_line_of_another_format_is_none(line: str) -> None:
    """Neither a guess nor an error."""
    assert TextFormat("%START_TIME% %RESPONSE_CODE% %UPSTREAM_CLUSTER%").parse(line) is None


def test_a_line_that_was_cut_off_is_not_read() -> None:
    """A request whose cluster is gone would look like one without a route."""
    line = f"{TIME}|GET|/a|200|curl|{ID}|shop|10.0.0.7:80"

    for end in range(len(line) - len("10.0.0.7:80") + 1):
        assert TextFormat(PIPES).parse(line[:end]) is None
