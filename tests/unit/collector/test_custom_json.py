"""JSON formats of users: typed values, nested keys, texts with several operators."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.formats.custom_json import JsonFormat
from collector.formats.parse import LineParser, Quarantined
from collector.records import AccessLog
from tests.envoy_format import operators_of, values_of, write_json
from tests.examples import MANY

FORMAT: dict[str, Any] = {
    "at": "%START_TIME(%s.%3f)%",
    "req": {"line": "%REQ(:METHOD)% %REQ(:PATH)%", "id": "%REQ(X-REQUEST-ID)%"},
    "code": "%RESPONSE_CODE%",
    "agent": "%REQ(USER-AGENT)%",
    "from": "%REQ(X-FORWARDED-FOR)%",
    "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "tags": ["%PROTOCOL%"],
    "constant": "mesh-1",
    "number": 5,
}
LINE: dict[str, Any] = {
    "at": "1795360302.900", "req": {"line": "GET /a?b=c", "id": "the id"}, "code": 200,
    "agent": 'curl "8"', "from": "10.0.0.1", "us": 41500, "tags": ["HTTP/2"],
    "constant": "mesh-1", "number": 5,
}  # fmt: skip


def read(**changes: object) -> AccessLog:
    """The record of the line with other values; `...` leaves a key out."""
    line = {key: value for key, value in (LINE | changes).items() if value is not ...}
    log = JsonFormat(FORMAT).parse(json.dumps(line))
    assert log is not None
    return log


def test_every_kind_of_value_is_read() -> None:
    """Numbers, texts, nested ones, several operators in one."""
    log = read()

    assert (log.start_us, log.method, log.path) == (1_795_360_302_900_000, "GET", "/a?b=c")
    assert (log.request_id, log.code, log.user_agent) == ("the id", 200, 'curl "8"')
    assert (log.duration_ms, log.forwarded_for, log.server_name) == (41, "10.0.0.1", None)
    assert not log.ambiguous


@pytest.mark.parametrize("value", [None, "-", "", ...])
def test_missing_values_are_empty_in_every_notation(value: object) -> None:
    """Left out (`omit_empty_values`) is empty, too: the format does log the header."""
    log = read(agent=value, us=value, **{"from": value})

    assert (log.user_agent, log.duration_ms, log.forwarded_for) == ("", 0, "")


@pytest.mark.parametrize("value", [200, 200.0, "200", "200.0"])
def test_numbers_in_every_notation(value: object) -> None:
    """As releases and shippers write them."""
    assert read(code=value).code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"code": -1}, {"code": "abc"}, {"code": 2**63}, {"code": True}, {"code": [200]},
        {"at": "yesterday"}, {"agent": {"a": 1}}, {"us": float("inf")},
        {"req": {"line": "GET", "id": "x"}},
    ],
)  # fmt: skip
def test_an_impossible_value_is_a_defect(changes: dict[str, object]) -> None:
    """Of a line that is of this format."""
    text = json.dumps(LINE | changes).replace("Infinity", "1e999")

    with pytest.raises((ValueError, OverflowError)):
        JsonFormat(FORMAT).parse(text)
    assert isinstance(LineParser([JsonFormat(FORMAT)]).parse(text), Quarantined)


@pytest.mark.parametrize("text", ["{}", "[1]", "null", "{", '{"code": 200}', '{"at": null}', "x"])
def test_other_json_is_of_another_format(text: str) -> None:
    """Applications log JSON too."""
    assert JsonFormat(FORMAT).parse(text) is None


def test_a_line_cut_off_is_a_defect() -> None:
    """Its request must not be called missing."""
    with pytest.raises(ValueError, match="cannot be read"):
        JsonFormat(FORMAT).parse(json.dumps(LINE)[:120])


def test_a_key_that_is_there_twice_makes_the_line_ambiguous() -> None:
    """A text format that looks like JSON lets clients add keys; the last one would win."""
    forged = json.dumps(LINE)[:-1] + ', "code": 503}'
    beside = json.dumps(LINE | {"kubernetes": {"code": 1, "id": 2}})

    twice, once = JsonFormat(FORMAT).parse(forged), JsonFormat(FORMAT).parse(beside)
    assert twice is not None
    assert once is not None
    assert twice.ambiguous
    assert not once.ambiguous


def test_a_text_that_fits_twice_makes_the_line_ambiguous() -> None:
    """Also inside JSON, where a format puts two client's values into one key."""
    form = {"t": "%START_TIME(%s)%", "c": "%RESPONSE_CODE%", "x": "%REQ(A)%-%REQ(X-REQUEST-ID)%"}

    log = JsonFormat(form).parse('{"t":"1795360302","c":200,"x":"a-b-c"}')

    assert log is not None
    assert log.ambiguous


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": "%NOPE%"}, r"%NOPE% is no operator of Envoy.*\[key x\]"),
        ({"a": {"b": "%NOPE%"}}, r"\[key a.b\]"),
        ({"x": "%REQ(A)%%REQ(X-REQUEST-ID)%", "req": {}}, "put a separator there"),
        ({"at": "%START_TIME(%M)%"}, "shows no date and time"),
        ({"code": "200"}, "no %RESPONSE_CODE%"),
        ({str(n): "%PROTOCOL%" for n in range(300)}, "more than 200 keys"),
    ],
)
def test_a_format_that_cannot_be_read_is_refused(change: dict[str, Any], message: str) -> None:
    """With what, where and what to do."""
    with pytest.raises(UsageError, match=message):
        JsonFormat(FORMAT | change)


def test_formats_with_keys_in_common_are_told_apart_by_the_others() -> None:
    """An old format of the user, a new one, and Istio's, all with `start_time`."""
    base = {"start_time": "%START_TIME%", "response_code": "%RESPONSE_CODE%"}
    old = JsonFormat(base | {"id": "%REQ(X-REQUEST-ID)%", "m": "%REQ(:METHOD)%"})
    new = JsonFormat(base | {"rid": "%REQ(X-REQUEST-ID)%", "m": "%REQ(:METHOD)%"})
    parser = LineParser([old, new])
    head = '{"start_time":"2026-11-22T15:11:42.900Z","response_code":200,'

    found = [
        parser.identify(head + rest)
        for rest in ('"id":"a","m":"GET"}', '"rid":"b","m":"GET"}',
                     '"request_id":"c","method":"GET","path":"/"}')
    ]  # fmt: skip

    assert [(log.request_id, name) for log, name in found if isinstance(log, AccessLog)] == [
        ("a", "format 1"), ("b", "format 2"), ("c", "Istio, JSON"),
    ]  # fmt: skip


def test_formats_that_look_alike_are_refused() -> None:
    """A line could be of either."""
    one = JsonFormat({"t": "%START_TIME%", "c": "%RESPONSE_CODE%", "x": "%REQ(:METHOD)%"})
    other = JsonFormat({"t": "%START_TIME%", "c": "%RESPONSE_CODE%", "x": "%REQ(:PATH)%"})

    with pytest.raises(UsageError, match="formats 1 and 2 look alike"):
        LineParser([one, other])


OPERATORS = (
    "%REQ(:METHOD)%", "%RESPONSE_FLAGS%", "%BYTES_SENT%", "%DURATION%", "%REQ(USER-AGENT)%",
    "%REQ(X-REQUEST-ID)%", "%REQ(:AUTHORITY)%", "%UPSTREAM_CLUSTER%", "%ROUTE_NAME%",
    "%REQ(X-FORWARDED-FOR)%",
)  # fmt: skip


@settings(max_examples=60 * MANY)
@given(st.data())
def test_a_line_is_read_as_it_was_written(data: st.DataObject) -> None:
    """Whatever clients put into it: JSON escapes."""
    chosen = data.draw(st.lists(st.sampled_from(OPERATORS), unique=True, max_size=6))
    texts = data.draw(st.permutations([*chosen, "%START_TIME%", "%RESPONSE_CODE%"]))
    keys = data.draw(st.permutations([*"abcdefgh"]))
    form = dict(zip(keys, texts, strict=False))
    values = {
        text: data.draw(values_of(operators_of(text)[0]).filter(lambda v: v != "-"))
        for text in texts
    }

    log = JsonFormat(form).parse(write_json(form, values))

    assert log is not None
    assert not log.ambiguous
    told = {"%REQ(USER-AGENT)%": log.user_agent, "%REQ(X-REQUEST-ID)%": log.request_id,
            "%RESPONSE_CODE%": str(log.code), "%UPSTREAM_CLUSTER%": log.cluster,
            "%REQ(X-FORWARDED-FOR)%": log.forwarded_for}  # fmt: skip
    assert {text: told[text] for text in texts if text in told} == {
        text: values[text] for text in texts if text in told
    }
