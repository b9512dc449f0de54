"""Every line ends in exactly one of three ways, and nothing raises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.formats.parse import MAX_LINE_CHARACTERS, Ignored, Quarantined, parse_line
from collector.records import AccessLog
from tests.examples import MANY

DATA = Path(__file__).parents[2] / "data" / "lines"
TEXT = (DATA / "envoy_text.log").read_text(encoding="utf-8").splitlines()[0]
JSON = (DATA / "envoy_json.log").read_text(encoding="utf-8").splitlines()[0]
ENDS = (AccessLog, Ignored, Quarantined)


def changed(**fields: object) -> str:
    """The JSON line with other values."""
    return json.dumps(json.loads(JSON) | fields)


@pytest.mark.parametrize("line", [TEXT, JSON])
def test_both_formats_are_read(line: str) -> None:
    """Told by their first character."""
    log = parse_line(line)

    assert isinstance(log, AccessLog)
    assert log.authority == "forecast:3002"


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "2026-11-22T15:11:42.902Z\tinfo\tEnvoy proxy is ready",
        "[2026-11-22 15:11:42.902][1][info][main] starting",
        '{"level":"info"}',
        "\x00",
        "\ud800",
    ],
)
def test_what_is_no_access_log_is_skipped(line: str) -> None:
    """It still shows that the pod's log is alive."""
    assert isinstance(parse_line(line), Ignored)


@pytest.mark.parametrize(
    "line",
    [
        '[2026-11-22T15:11:42.902Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" '
        '"-" "-" "-" - - 10.0.0.1:80 10.0.0.2:1 - -',
        '[2026-11-22T15:11:42.902Z] "- - -" 0 - - - "-" 12 34 5 - "-" "-" "-" "-" "10.0.0.1:5" '
        "outbound|5||db.x.svc.cluster.local 10.0.0.1:80 10.0.0.2:1 10.0.0.3:1 - -",
        changed(method=None, response_code=0, protocol=None),
    ],
)
def test_connections_that_are_no_http_are_skipped(line: str) -> None:
    """TCP has no request and no id: it is not ambiguous, it is out of scope."""
    assert parse_line(line) == Ignored("not HTTP")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (TEXT[:120], "no known format"),
        (TEXT.replace(" 200 ", " abc "), "no known format"),
        (TEXT.replace("[2026-11-22T15:11:42.900Z]", "[2026-11-22T15:11:99.900Z]"), "no known"),
        (TEXT + "x" * MAX_LINE_CHARACTERS, "too long"),
        (TEXT.replace("2026", "1926"), "impossible value"),
        (TEXT.replace("2026", "2326"), "impossible value"),
        (TEXT.replace(" 0 100 4 3 ", " 0 100 999999999999 3 "), "impossible value"),
        (changed(duration=-5), "impossible value"),
        (changed(response_code=1e300), "impossible value"),
        (changed(method=5), "impossible value"),
        (JSON[:300], "impossible value"),
    ],
)
def test_what_claims_to_be_an_access_log_and_is_none_is_quarantined(line: str, reason: str) -> None:
    """With a reason for people."""
    found = parse_line(line)

    assert isinstance(found, Quarantined)
    assert reason in found.reason


def test_a_line_of_the_largest_size_is_still_read() -> None:
    """Envoy refuses headers above 60 KiB."""
    line = TEXT.replace("curl/7.52.1", "x" * (MAX_LINE_CHARACTERS - len(TEXT) + 11))

    assert len(line) == MAX_LINE_CHARACTERS
    assert isinstance(parse_line(line), AccessLog)


@settings(max_examples=120 * MANY)
@given(st.text(st.characters(), max_size=80), st.sampled_from(["", "[", "{", '{"start_time":']))
def test_no_text_raises(text: str, start: str) -> None:
    """Also lone surrogates, NUL, and what begins like a format."""
    assert isinstance(parse_line(start + text), ENDS)


@settings(max_examples=120 * MANY)
@given(
    st.sampled_from([TEXT, JSON]),
    st.integers(0, 700),
    st.integers(0, 30),
    st.text(st.sampled_from('"[]{} -,:\\x0²\ud800\x00T.Z'), max_size=8),
)
def test_no_damaged_line_raises(line: str, place: int, cut: int, noise: str) -> None:
    """Some characters taken out, others put in."""
    place %= len(line)

    assert isinstance(parse_line(line[:place] + noise + line[place + cut :]), ENDS)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@settings(max_examples=120 * MANY)
@given(st.dictionaries(st.sampled_from(sorted(json.loads(JSON))), JSON_VALUES, max_size=4))
def test_no_json_value_raises(fields: dict[str, object]) -> None:
    """Of any type, in any key; what is read is within bounds."""
    found = parse_line(changed(**fields))

    assert isinstance(found, ENDS)
    if isinstance(found, AccessLog):
        assert found.start_us > 0
        assert 0 <= found.duration_ms <= 7 * 24 * 3600 * 1000
        assert found.code >= 0


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["[", "{", '"', "\\", '{"a":', "[[", "1", '"start_time":', "\x00"]
)
def test_long_hostile_json_does_not_hang(piece: str) -> None:
    """Nesting, escapes, digits."""
    noise = (piece * 128_000)[: MAX_LINE_CHARACTERS - 1000]

    for line in ("{" + noise, noise, JSON[:-1] + ',"x":' + noise, JSON.replace("curl", noise)):
        assert isinstance(parse_line(line[:MAX_LINE_CHARACTERS]), ENDS)
