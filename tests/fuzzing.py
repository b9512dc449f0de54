"""What must hold of every byte string, and the inputs that fuzzing begins with.

`make test` tries mutations that hypothesis makes (tests/unit/collector/test_fuzzing.py); `make
fuzz` lets atheris look for new branches (tests/fuzz.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from collector.batch import Watch
from collector.envelopes.found import Heartbeat, Piece, RawLine
from collector.envelopes.unwrap import unwrap
from collector.formats.custom_json import JsonFormat
from collector.formats.custom_text import TextFormat
from collector.formats.known import ISTIO_TEXT
from collector.formats.parse import Ignored, LineParser, Quarantined, parse_line
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import AccessLog, Identity
from collector.sources.protocol import Partition, Record

DATA = Path(__file__).parent / "data"
HOST = "forecast.weather.svc.cluster.local"
TEXTS = (
    ISTIO_TEXT["Istio 1.9 to 1.22"].replace('"%REQ(USER-AGENT)%"', '"%REQ(REFERER)%"'),
    "%START_TIME%|%REQ(:METHOD)%|%REQ(:PATH)%|%RESPONSE_CODE%|%REQ(USER-AGENT)%|"
    "%REQ(X-REQUEST-ID)%|%REQ(:AUTHORITY)%|%UPSTREAM_HOST%",
    "ts=%START_TIME(%s.%3f)% m=%REQ(:METHOD)% p=%REQ(:PATH)% c=%RESPONSE_CODE% "
    "ua=%REQ(USER-AGENT)% id=%REQ(X-REQUEST-ID)% h=%REQ(:AUTHORITY)%",
    '{"t":"%START_TIME%","c":%RESPONSE_CODE%,"ua":"%REQ(USER-AGENT)%","id":"%REQ(X-REQUEST-ID)%"}',
)
JSONS = (
    {
        "start_time": "%START_TIME%", "response_code": "%RESPONSE_CODE%",
        "request": {"line": "%REQ(:METHOD)% %REQ(:PATH)%", "id": "%REQ(X-REQUEST-ID)%"},
    },
    {"at": "%START_TIME(%s.%6f)%", "status": "%RESPONSE_CODE%", "pod": "%ENVIRONMENT(POD_NAME)%"},
)  # fmt: skip
LINES = (
    b"2026-11-22T15:11:42.900Z|GET|/a|200|curl|46ce024f|forecast|10.0.0.1:80",
    b"ts=1795360302.900 m=GET p=/a c=200 ua=Mozilla/5.0 (X11) id=46ce h=forecast:3002",
    b'{"t":"2026-11-22T15:11:42.900Z","c":200,"ua":"a"b","id":"46ce"}',
    b'{"start_time":"2026-11-22T15:11:42.900Z","response_code":200,"request":'
    b'{"line":"GET /a","id":"46ce"}}',
    b'{"at":"1795360302.900123","status":200.0,"pod":"forecast-v1-5d8f9b7c6-abcde"}',
    b'[2020-11-25T21:26:18.409Z] "GET /a HTTP/1.1" 200 - "-" "-" 0 1 2 3 "-" "-" "id" '
    b'"forecast:3002" "10.0.0.1:80" outbound|3002||forecast 1:1 2:2 3:3 - default',
    b"2026-11-22T15:11:42.9Z stdout P [2026-",
    b'{"mirrorproof":"heartbeat","node":"n","time":"2026-11-22T15:11:42Z"}',
    b'{"resourceLogs":[{"resource":{"attributes":[]},"scopeLogs":[{"logRecords":'
    b'[{"body":{"stringValue":"x"}}]}]}]}',
)
WORDS = (
    b'"', b'" "', b" ", b"\\", b'\\"', b"{", b"}", b"[", b"]", b",", b":", b"|", b"\n", b"\r",
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"null", b"NaN", b"1e999", b"-", b"9" * 40,
    b'"start_time":', b'"log":', b'"message":', b'{"log":"', b" stdout P ", b' HTTP/1.1" 200 ',
)  # fmt: skip
"""What decides how a value is read."""
_WATCH = Watch(HostTable([HOST]), 1)
_PARTITION = Partition("logs", 0)


@cache
def parser() -> LineParser:
    """Formats of all kinds in force at once."""
    return LineParser([*map(TextFormat, TEXTS), *map(JsonFormat, JSONS)])


def check(value: bytes) -> None:
    """Raises AssertionError, or whatever else, when a value is not dealt with as it must be."""
    found = unwrap(value)
    assert found
    for one in found:
        assert isinstance(one, RawLine | Piece | Heartbeat | Quarantined)
        if isinstance(one, RawLine | Piece):
            for read_line in (parse_line, parser().parse):
                assert isinstance(read_line(one.text), AccessLog | Ignored | Quarantined)
    reader = Reader(b"", (), lambda _: Identity(), PoisonLimits(), parser().parse)
    records = [Record(0, 0, value), Record(1, 0, value)]
    batch = reader.read(_PARTITION, 0, records, _WATCH, 1_795_360_303_000_000)
    assert batch.read == batch.stored + batch.ignored + batch.quarantined
    assert batch.read >= len(found)


def seeds() -> Iterator[bytes]:
    """Real lines, in the shapes of shippers, and lines of formats of users."""
    yield from LINES
    lines = [
        line
        for path in sorted((DATA / "lines").glob("*.log"))
        for line in path.read_bytes().splitlines()
    ]
    yield from lines
    text = lines[0].decode("utf-8", "replace")
    yield json.dumps({"log": f"{text}\n", "kubernetes": {"pod_name": "a"}, "time": "x"}).encode()
    yield json.dumps({"message": text, "agent": {}, "@timestamp": "2026-11-22"}).encode()
    yield json.dumps(text).encode()
    yield json.dumps([{"log": text}, {"log": text}]).encode()
    yield b"[pod/a/istio-proxy] " + lines[0]
    for path in sorted((DATA / "envelopes").iterdir()):
        content = path.read_bytes()
        if path.suffix == ".bin":
            yield content
        elif path.suffix != ".md" and path.name != "expected.json":
            yield from content.splitlines()
