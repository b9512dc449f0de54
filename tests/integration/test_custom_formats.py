"""Formats of users as a real Envoy writes them, read by what they were compiled to."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from collector.formats.custom_json import JsonFormat
from collector.formats.custom_text import TextFormat
from collector.formats.given import compile_format
from collector.formats.known import ENVOY_TEXT, ISTIO_JSON, ISTIO_TEXT, default_json
from collector.formats.parse import LineParser
from collector.records import AccessLog
from verifier.demo.envoy_config import render_inbound
from verifier.demo.mesh import Sidecar, envoy_binary
from verifier.demo.pods import FORECASTS
from verifier.demo.servers import Servers
from verifier.sample.needs import RECOMMENDED

pytestmark = pytest.mark.integration

_API = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
TEXTS = {
    "istio_1_8": ISTIO_TEXT["Istio 1.8"],
    "istio_1_3": ISTIO_TEXT["Istio 1.3 to 1.7"],
    "pipes": "%START_TIME(%s.%3f)%|%REQ(:METHOD)%|%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%|"
    "%RESPONSE_CODE%|%REQ(USER-AGENT)%|%REQ(X-REQUEST-ID)%|%REQ(:AUTHORITY)%|%UPSTREAM_HOST%",
    "words": "ts=%START_TIME(%Y/%m/%dT%H:%M:%S.%6f%Ez)% m=%REQ(:METHOD)% p=%REQ(:PATH)% "
    "c=%RESPONSE_CODE% fl=%RESPONSE_FLAGS_LONG% ua=%REQ(USER-AGENT)% id=%REQ(X-REQUEST-ID)% "
    "h=%REQ(:AUTHORITY)%",
    "common": "%DOWNSTREAM_REMOTE_ADDRESS% - [%START_TIME(%d/%b/%Y:%H:%M:%S %z)%] "
    '"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %BYTES_SENT% '
    '"%REQ(REFERER)%" "%REQ(USER-AGENT)%" %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% '
    '"%REQ(X-REQUEST-ID)%" 100%% %UPSTREAM_CLUSTER% %RESPONSE_CODE_DETAILS% %START_TIME_LOCAL%',
    "local": "%START_TIME_LOCAL(%Y-%m-%d %H:%M:%E3S %Ez)% %RESPONSE_CODE% %PROTOCOL% "
    '"%REQ(X-REQUEST-ID)%" %UPSTREAM_HOST% %ENVIRONMENT(POD_NAME)% "%CEL(request.path)%" '
    "%DYNAMIC_METADATA(a.b)% %FILTER_STATE(x:PLAIN)% %TRACE_ID% %UNIQUE_ID% %ACCESS_LOG_TYPE%",
}
JSONS: dict[str, dict[str, Any]] = {
    "nested": {
        "at": "%START_TIME(%s.%6f)%",
        "request": {
            "line": "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%",
            "id": "%REQ(X-REQUEST-ID)%",
            "agent": "%REQ(USER-AGENT)%",
        },
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS_LONG%",
        "ns": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)%",
        "cluster": "%UPSTREAM_CLUSTER_RAW%",
        "pod": "%ENVIRONMENT(POD_NAME)%",
    },
    "recommended": RECOMMENDED,
}
FORGERIES = (
    'x" "11111111-1111-1111-1111-111111111111" "evil.host" "9.9.9.9:80', '"', 'a"b', '" "',
    "|", "a|b|c", "x|46ce|evil|1.2.3.4:80", "x id=forged", "id=1 h=evil", "curl/8", "",
    'Mozilla/5.0 (X11; Linux) "quoted"', "\t", "天气", '/x HTTP/1.1" 200 - "-" 0 0 0 0 "z',
    '","request_id":"forged', '{"a":1}', "-", '" 200 - "-" 0 1 2 3 "-" "',
)  # fmt: skip


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"sunny"
        self.send_response(503 if "fail" in self.path else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def _requests() -> Iterator[bytes]:
    """What clients send: each forgery in each header, and many at once."""
    chance = random.Random(3)
    headers = ("user-agent", "x-forwarded-for", "x-request-id", "x-envoy-original-path", "referer")
    for forgery in FORGERIES:
        for header in headers:
            head = "GET /weather?day=1 HTTP/1.1\r\nhost: forecast\r\n"
            yield f"{head}{header}: {forgery}\r\n".encode()
    for number in range(60):
        lines = [
            f"{h}: {''.join(chance.choices(FORGERIES, k=2))}" for h in chance.sample(headers, 3)
        ]
        path = chance.choice(["/a", "/fail?x=|", "/q/%20", '/d"x'])
        yield "\r\n".join([f"GET {path} HTTP/1.1", f"host: f{number}:80", *lines, ""]).encode()
    yield b"GET /latin HTTP/1.1\r\nhost: a\r\nuser-agent: \xff\xfe\xe9\r\n"
    yield b"GARBAGE\r\n"


def _send(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request + b"connection: close\r\n\r\n")
        while connection.recv(65_536):
            pass


def _logger(path: Path, log_format: dict[str, Any] | None) -> dict[str, Any]:
    config: dict[str, Any] = {"@type": _API, "path": str(path)}
    if log_format is not None:
        config["log_format"] = log_format
    return {"name": "envoy.access_loggers.file", "typed_config": config}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """The lines of one Envoy's logs in all formats; line by line they are of the same request."""
    folder = tmp_path_factory.mktemp("formats")
    app = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    formats: dict[str, dict[str, Any] | None] = {
        name: {"text_format_source": {"inline_string": text + "\n"}} for name, text in TEXTS.items()
    }
    formats |= {name: {"json_format": document} for name, document in JSONS.items()}
    formats |= {"truth": {"json_format": ISTIO_JSON}, "default": None}
    paths = {name: folder / f"{name}.log" for name in formats}
    loggers = [_logger(paths[name], log_format) for name, log_format in formats.items()]
    config = render_inbound(app.server_port, loggers[0])
    listener = config["static_resources"]["listeners"][0]
    listener["filter_chains"][0]["filters"][0]["typed_config"]["access_log"] = loggers
    (folder / "envoy.json").write_text(json.dumps(config))
    sidecar = Sidecar(FORECASTS[0], lambda _port: config, folder)
    with Servers() as servers:
        command = [
            *(str(envoy_binary()), "--config-path", str(folder / "envoy.json")),
            *("--admin-address-path", str(sidecar.admin_file), "--concurrency", "1"),
            *("--file-flush-interval-msec", "50", "--disable-hot-restart"),
        ]
        process = servers.spawn(command, folder / "envoy.out")
        port = _await_port(sidecar)
        for request in _requests():
            _send(port, request)
        servers.stop(process)  # which makes it write all that it holds
    app.shutdown()
    app.server_close()
    return {name: path.read_bytes().splitlines() for name, path in paths.items()}


def _await_port(sidecar: Sidecar) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        statuses = (sidecar.ask("listeners?format=json") or {}).get("listener_statuses", [])
        if statuses:
            return int(statuses[0]["local_address"]["socket_address"]["port_value"])
        time.sleep(0.05)
    raise AssertionError("Envoy does not listen")


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _compiled(name: str) -> TextFormat | JsonFormat:
    if name == "default":
        return TextFormat(ENVOY_TEXT)
    return JsonFormat(JSONS[name]) if name in JSONS else compile_format(TEXTS[name])


_FIELDS = {"start": "start_us", "duration": "duration_ms"}
_VARY = {"stream_id", "pod", "namespace", "attempt"}


def _same(name: str, found: Any, true: Any, format_name: str) -> bool:
    """Whether a field is that of the oracle; some formats write times less or more exactly."""
    if name == "start":
        return bool(found // 1_000_000 == true // 1_000_000)
    if name == "duration":
        return bool(abs(found - true) <= 1)
    if name == "path" and format_name in ("words", "nested"):
        return True  # the header that a client made up is not in these formats
    if isinstance(found, str) and not (found + str(true)).isascii():
        return True  # JSON has bytes that are no UTF-8 in another notation
    return bool(found == true)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TEXTS, *JSONS, "default"])
def test_lines_of_a_real_envoy_are_read_right_or_ambiguous(
    name: str, logs: dict[str, list[bytes]]
) -> None:
    """Field by field as in the JSON log of the same request, whatever clients sent."""
    compiled = _compiled(name)
    sure = 0
    assert len(logs[name]) == len(logs["truth"]) > 150

    for line, truth in zip(logs[name], logs["truth"], strict=True):
        found, true = compiled.parse(_text(line)), default_json().parse(_text(truth))
        assert true is not None
        assert found is not None, line
        if found.ambiguous:
            continue
        sure += 1
        for field in compiled.fields.chosen.keys() - _VARY:
            attribute = _FIELDS.get(field, field)
            pair = getattr(found, attribute), getattr(true, attribute)
            assert _same(field, *pair, name), (field, pair, line)

    assert sure >= (len(logs["truth"]) if name in JSONS else 30)


def test_formats_in_force_together_read_the_lines_of_each(logs: dict[str, list[bytes]]) -> None:
    """Each ordinary line is told to be of its own format, defaults among them."""
    names = ["pipes", "common", "nested"]
    parser = LineParser([_compiled(name) for name in names])
    told = {f"format {number}": name for number, name in enumerate(names, 1)}
    told |= {"Istio 1.8, text": "istio_1_8", "Envoy's default, text": "default"}
    told |= {"Istio, JSON": "truth", "Istio 1.3 to 1.7, text": "istio_1_3"}

    for own in told.values():
        lines = [_text(line) for line in logs[own] if b"curl/8" in line and b'"curl/8 ' not in line]
        assert lines
        for line in lines:
            log, name = parser.identify(line)
            if isinstance(log, AccessLog) and not log.ambiguous:
                assert told[name] == own, line


def test_recommended_lines_are_read_without_naming_their_format(
    logs: dict[str, list[bytes]],
) -> None:
    """With the identity of the line that Envoy makes."""
    parsed = [LineParser().parse(_text(line)) for line in logs["recommended"]]
    found = [log for log in parsed if isinstance(log, AccessLog)]

    assert len(found) >= len(logs["recommended"]) - 1
    assert len({log.stream_id for log in found}) == len(found)
    assert not any(log.ambiguous for log in found)
