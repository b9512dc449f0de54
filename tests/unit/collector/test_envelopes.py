"""What `collector.envelopes.unwrap` finds in a value, whoever wrapped it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.envelopes.found import (
    MAX_VALUE_BYTES,
    Found,
    Heartbeat,
    RawLine,
    shipper_time_us,
)
from collector.envelopes.unwrap import unwrap
from collector.formats.parse import Quarantined
from collector.records import Identity

LINE = (
    '[2026-11-22T15:11:42.900Z] "GET /weather HTTP/1.1" 200 - via_upstream - "-" 0 100 4 3 "-" '
    '"curl" "46ce024f-97b3-4a45-8f73-2d4ef365608d" "forecast:3002" "10.0.0.7:80" '
    "outbound|3002|v2|forecast.weather.svc.cluster.local 10.0.0.1:1 10.0.0.2:2 10.0.0.3:3 - -"
)
JSON_LINE = json.dumps({"start_time": "2026-11-22T15:11:42.900Z", "path": '/"start_time"'})
POD = Identity("forecast-v2-1", "weather", "", "node-a", "istio-proxy", (("version", "v2"),))
FLUENT_BIT = {
    "pod_name": "forecast-v2-1",
    "namespace_name": "weather",
    "host": "node-a",
    "container_name": "istio-proxy",
    "labels": {"version": "v2"},
    "annotations": {"a": "b"},
}
VECTOR = {
    "pod_name": "forecast-v2-1",
    "pod_namespace": "weather",
    "pod_node_name": "node-a",
    "container_name": "istio-proxy",
    "pod_labels": {"version": "v2"},
}
FILEBEAT = {
    "pod": {"name": "forecast-v2-1"},
    "namespace": "weather",
    "node": {"name": "node-a"},
    "container": {"name": "istio-proxy"},
    "labels": {"version": "v2"},
}


def value(**fields: object) -> bytes:
    """A JSON value."""
    return json.dumps(fields).encode()


def lines(found: list[Found]) -> list[tuple[str, Identity]]:
    """What was found, which must be lines and nothing else."""
    assert all(isinstance(piece, RawLine) for piece in found)
    return [(piece.text, piece.identity) for piece in found]


@pytest.mark.parametrize(
    ("record", "identity"),
    [
        (LINE.encode(), Identity()),
        (f"{LINE}\r\n".encode(), Identity()),
        (value(log=f"{LINE}\n", stream="stdout", time="2026-11-22T15:11:42.9Z"), Identity()),
        (value(log=f"{LINE}\n", kubernetes=FLUENT_BIT), POD),
        (value(message=LINE, kubernetes=FLUENT_BIT), POD),
        (value(message=LINE, kubernetes=VECTOR, source_type="kubernetes_logs"), POD),
        (value(message=LINE, kubernetes=FILEBEAT, log={"file": {"path": "x"}}), POD),
        (value(log=f"2026-11-22T15:11:42.9Z stdout F {LINE}", kubernetes=FLUENT_BIT), POD),
        (f"2026-11-22T15:11:42.9Z stdout F {LINE}".encode(), Identity()),
        (value(message=json.dumps({"log": LINE}), kubernetes=FLUENT_BIT), POD),
        (json.dumps(LINE).encode(), Identity()),
        (json.dumps([{"log": LINE, "kubernetes": FLUENT_BIT}]).encode(), POD),
    ],
    ids=[
        "bare",
        "newline",
        "docker",
        "fluent bit",
        "fluentd",
        "vector",
        "filebeat",
        "cri in fluent bit",
        "cri",
        "nested",
        "quoted",
        "array",
    ],
)
def test_every_shape_gives_the_line_and_its_writer(record: bytes, identity: Identity) -> None:
    """The same line and the same identity come out of every shipper's envelope."""
    assert lines(unwrap(record)) == [(LINE, identity)]


@pytest.mark.parametrize(
    "record",
    [JSON_LINE.encode(), value(log=JSON_LINE), value(log=JSON_LINE + "\n", time="x")],
    ids=["bare", "wrapped", "docker"],
)
def test_a_json_access_log_is_a_line_and_no_envelope(record: bytes) -> None:
    """Istio's JSON line comes out whole, wrapped or not."""
    assert lines(unwrap(record)) == [(JSON_LINE, Identity())]


def test_lifted_fields_keep_the_identity_of_their_envelope() -> None:
    """With `merge_log` the line is its own fields, the same however it is shipped again."""
    record = value(start_time="2026-11-22T15:11:42.9Z", kubernetes=FLUENT_BIT)

    assert lines(unwrap(record)) == [('{"start_time":"2026-11-22T15:11:42.9Z"}', POD)]


def test_the_envelope_wins_over_what_the_topic_says() -> None:
    """Fields that the envelope names replace the default, the others stay."""
    default = Identity(pod="other", cluster="east")

    (piece,) = unwrap(value(log=LINE, kubernetes={"pod_name": "mine"}), default)

    assert isinstance(piece, RawLine)
    assert piece.identity == Identity(pod="mine", cluster="east")


def test_many_lines_in_one_value_keep_their_order() -> None:
    """A value with several lines, bare or as JSON, gives each of them."""
    records = b"\n".join([b"one", value(log="two"), b"", b"three\r"])

    assert [text for text, _ in lines(unwrap(records))] == ["one", "two", "three"]


def test_a_heartbeat_names_its_node_and_time() -> None:
    """A heartbeat is known bare, and inside the envelope of the node that shipped it."""
    beat = {"mirrorproof": "heartbeat", "node": "node-a", "time": "1970-01-01T00:00:02Z"}
    inside = value(log=json.dumps({"mirrorproof": "heartbeat"}), kubernetes=FLUENT_BIT)

    assert unwrap(json.dumps(beat).encode()) == [Heartbeat(Identity(node="node-a"), 2_000_000)]
    assert unwrap(inside) == [Heartbeat(Identity(node="node-a"), 0)]


def test_a_value_above_the_limit_is_quarantined_unseen() -> None:
    """Nothing is decoded of a value that is too large."""
    (piece,) = unwrap(b"{" * (MAX_VALUE_BYTES + 1))

    assert isinstance(piece, Quarantined)


def test_bytes_that_are_no_utf8_do_not_hide_the_envelope() -> None:
    """A user agent with broken bytes leaves line and identity readable."""
    record = value(log="AGENT", kubernetes={"pod_name": "p"}).replace(b"AGENT", b"a\xff\xfeb")

    assert lines(unwrap(record)) == [("a��b", Identity(pod="p"))]


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"{",
        b'{"log":',
        b"[{" * 50_000,
        b'{"log":' * 50_000,
        b'{"log":' + b"9" * 5000 + b"}",
        b'{"log":"\\ud800"}',
        b'{"log":"\\u0000"}',
        b'{"kubernetes":[1],"log":"x"}',
        b'{"kubernetes":{"pod_name":7,"labels":[]},"log":"x"}',
        b"\x00\xff\xfe",
        json.dumps("x").encode("utf-16"),
    ],
)
def test_poison_is_one_piece_and_no_exception(poison: bytes) -> None:
    """Whatever cannot be unwrapped is a line by itself."""
    assert len(unwrap(poison)) == 1


@pytest.mark.parametrize(
    "poison",
    [
        b'{"short_message":"\xd0x","version":"1"}',
        b'{"version":"1","_a":"\xd0","short_message":"x"}',
    ],
)
def test_bad_bytes_in_keys_that_decoding_skips_are_repaired(poison: bytes) -> None:
    """Found by fuzzing: they show only when the key is looked at."""
    (found,) = unwrap(poison)

    assert isinstance(found, RawLine)
    assert "short_message" not in found.text


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda text: value(log=text)))
def test_any_bytes_give_at_least_one_piece(record: bytes) -> None:
    """No bytes raise, and every value is accounted for."""
    assert unwrap(record) or record.strip(b"\r\n") == b""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-22T15:11:42.900123456Z", 1_795_360_302_900_123),
        ("2026-11-22T15:11:42", 1_795_360_302_000_000),
        ("2026-11-22T16:11:42+01:00", 1_795_360_302_000_000),
        (1_795_360_302, 1_795_360_302_000_000),
        (1_795_360_302.5, 1_795_360_302_500_000),
        (1_795_360_302_000, 1_795_360_302_000_000),
        ("yesterday", 0),
        (True, 0),
        (None, 0),
        (float("inf"), 0),
        (-5, 0),
    ],
)
def test_shipper_times_of_all_notations(written: object, expected: int) -> None:
    """Every notation of one moment is the same number; nonsense is 0."""
    assert shipper_time_us(written) == expected
