"""Formats as users give them: themselves, or the configuration that holds them."""

from __future__ import annotations

import json

import pytest
import yaml

from collector.errors import UsageError
from collector.formats.custom_json import JsonFormat
from collector.formats.custom_text import TextFormat
from collector.formats.given import compile_format, read_formats
from collector.formats.parse import LineParser
from collector.records import AccessLog

TEXT = "[%START_TIME%] %RESPONSE_CODE% %REQ(X-REQUEST-ID)%"
JSON = {"t": "%START_TIME%", "c": "%RESPONSE_CODE%", "id": "%REQ(X-REQUEST-ID)%"}
MESH = {"accessLogFile": "/dev/stdout", "accessLogFormat": TEXT + "\n"}
MESH_JSON = {"accessLogFormat": json.dumps(JSON), "accessLogEncoding": "JSON"}
PROVIDERS = {
    "extensionProviders": [
        {"name": "a", "envoyFileAccessLog": {"path": "/dev/stdout", "logFormat": {"labels": JSON}}},
        {"name": "b", "envoyFileAccessLog": {"logFormat": {"text": TEXT}}},
        {"name": "c", "zipkin": {"service": "z"}},
    ]
}
ENVOY = {
    "kind": "EnvoyFilter",
    "spec": {"configPatches": [{"patch": {"value": {"typed_config": {"access_log": [
        {"typed_config": {"log_format": {"text_format_source": {"inline_string": TEXT + "\n"}}}},
        {"typed_config": {"log_format": {"json_format": JSON}}},
    ]}}}}]},
}  # fmt: skip


def told(text: str) -> list[str]:
    """The formats that are found, as text."""
    return [one.text for one in read_formats(text)]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (MESH, [TEXT]),
        ({"meshConfig": MESH}, [TEXT]),
        ({"spec": {"meshConfig": MESH_JSON}}, [json.dumps(JSON)]),
        ({"kind": "ConfigMap", "data": {"mesh": yaml.safe_dump(MESH_JSON)}}, [json.dumps(JSON)]),
        ({"items": [{"data": {"mesh": yaml.safe_dump(MESH)}}]}, [TEXT]),
        (PROVIDERS, [json.dumps(JSON), TEXT]),
        (ENVOY, [TEXT, json.dumps(JSON)]),
        ({"meshConfig": MESH | PROVIDERS}, [TEXT, json.dumps(JSON), TEXT]),
    ],
)
def test_formats_are_found_in_configuration(document: object, expected: list[str]) -> None:
    """As Istio and Envoy have them, in YAML and in JSON."""
    assert told(yaml.safe_dump(document, sort_keys=False)) == expected
    assert told(json.dumps(document)) == expected


def test_formats_are_one_a_line() -> None:
    """Comments and empty lines are left out."""
    found = read_formats(f"# ours\n{TEXT}\n\n{json.dumps(JSON)}\r\n")

    assert [type(one) for one in found] == [TextFormat, JsonFormat]


def test_json_may_go_over_several_lines() -> None:
    """As people write it."""
    assert told(json.dumps(JSON, indent=2)) == [json.dumps(JSON)]


def test_what_looks_like_json_may_be_text() -> None:
    """The text encoder escapes nothing: such lines are read as text."""
    text = '{"t":"%START_TIME%","c":%RESPONSE_CODE%,"id":"%REQ(X-REQUEST-ID)%"}'
    parser = LineParser([compile_format(f"text:{text}")])

    assert isinstance(compile_format(text), TextFormat)  # without its quotes it is no JSON
    assert isinstance(compile_format(f"json:{json.dumps(JSON)}"), JsonFormat)
    plain = parser.parse('{"t":"2026-11-22T15:11:42.900Z","c":200,"id":"x"}')
    forged = parser.parse('{"t":"2026-11-22T15:11:42.900Z","c":200,"id":"x","id":"y"}')
    assert isinstance(plain, AccessLog)
    assert isinstance(forged, AccessLog)
    assert (plain.request_id, plain.ambiguous, forged.ambiguous) == ("x", False, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "none found; write one format a line"),
        ("# only a comment\n", "none found"),
        ("json:{x", "not JSON"),
        ("json:[1]", "not a JSON object"),
        (f"{TEXT}\n" * 17, "17; at most 16"),
        ("x" * 5_000_000, "more than"),
        (yaml.safe_dump({"accessLogFormat": "%NO%"}), "%NO% is no operator"),
        (yaml.safe_dump({"meshConfig": {"accessLogFormat": ""}}), "access-log format"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(text: str, message: str) -> None:
    """Before anything starts."""
    with pytest.raises(UsageError, match=message) as caught:
        read_formats(text)

    assert "\n" not in str(caught.value)
