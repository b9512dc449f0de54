"""Every shipper's layout: the lines in it, and who wrote them.

The records are in `tests/data/envelopes`, by the documented layout of each shipper, with values
of our own; `expected.json` says what is in them. The protobuf ones were encoded by the official
package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.batch import Watch
from collector.formats.parse import parse_line
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import AccessLog, Identity
from collector.sources.protocol import Partition, Record

FOLDER = Path(__file__).parents[2] / "data" / "envelopes"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
WATCH = Watch(HostTable(["forecast.weather.svc.cluster.local"]), 1)
NOW_US = 1_795_360_310_000_000


def records(shape: dict[str, Any]) -> list[Record]:
    """The records of a golden file: one a line, or the whole file where it is binary."""
    content = (FOLDER / shape["file"]).read_bytes()
    values = [content] if shape["file"].endswith(".bin") else content.splitlines()
    headers = tuple((name, text.encode()) for name, text in shape.get("headers", {}).items())
    key = shape.get("key", "").encode()
    return [Record(n, NOW_US, value, key, headers) for n, value in enumerate(values)]


def identity(fields: dict[str, Any]) -> Identity:
    """An identity as `expected.json` has it."""
    labels = tuple(sorted(fields.get("labels", {}).items()))
    return Identity(**(fields | {"labels": labels}))


@pytest.mark.parametrize("name", EXPECTED["shapes"])
def test_a_shipper_s_lines_and_their_writers_are_found(name: str) -> None:
    """All lines of a golden file, each once, with all that the envelope says of its writer."""
    shape = EXPECTED["shapes"][name]
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())

    batch = reader.read(Partition("logs", 0), 0, records(shape), WATCH, NOW_US)

    found = [(seen.observation.log, seen.observation.pod) for seen in batch.seen]
    texts = EXPECTED["lines"]
    assert found == [(parse_line(texts[line]), identity(who)) for line, who in shape["lines"]]
    assert [bad.reason for bad in batch.poison] == shape.get("quarantined", [])
    assert batch.held == []


@pytest.mark.parametrize("name", EXPECTED["shapes"])
def test_a_line_is_the_same_in_every_envelope(name: str) -> None:
    """What tells a line from others does not depend on its way here, nor on the shipper's time."""
    shape = EXPECTED["shapes"][name]
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())
    batch = reader.read(Partition("logs", 0), 0, records(shape), WATCH, NOW_US)
    texts = EXPECTED["lines"]
    bare = [Record(n, 0, texts[line].encode()) for n, (line, _) in enumerate(shape["lines"])]
    plain = reader.read(Partition("logs", 1), 0, bare, WATCH, NOW_US)

    found = [seen.observation.line_id for seen in batch.seen]

    if "inline" not in name:  # those have fields more
        assert found == [seen.observation.line_id for seen in plain.seen]


def test_every_golden_file_is_expected() -> None:
    """No file is left without its expectation, and the lines are access logs."""
    files = {path.name for path in FOLDER.iterdir()} - {"expected.json", "README.md"}

    assert files == {shape["file"] for shape in EXPECTED["shapes"].values()}
    assert all(isinstance(parse_line(text), AccessLog) for text in EXPECTED["lines"].values())


@given(
    st.sampled_from([shape["file"] for shape in EXPECTED["shapes"].values()]),
    st.lists(st.tuples(st.integers(0, 8_000), st.binary(max_size=3)), max_size=4),
    st.integers(0, 8_000),
)
def test_damaged_records_are_accounted_for(
    name: str, damage: list[tuple[int, bytes]], length: int
) -> None:
    """Whatever bytes are lost or changed: nothing raises, and every line has one end."""
    value = bytearray((FOLDER / name).read_bytes())
    for at, other in damage:
        value[at : at + len(other)] = other
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())

    batch = reader.read(
        Partition("logs", 0), 0, [Record(0, 0, bytes(value[:length]))], WATCH, NOW_US
    )

    assert batch.read == batch.stored + batch.ignored + batch.quarantined > 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[" + b"{}," * 300_000 + b"{}]", "more than 20000 lines in one value"),
        (b'{"log":"' + b"x\\n" * 300_000 + b'"}', "more than 20000 lines in one value"),
        (b'{"log":' * 7 + b"1" + b"}" * 7, "more than 6 envelopes within each other"),
        (b"{}", ""),
        (b"[" * 8 + b"1" + b"]" * 8, "more than 6 envelopes within each other"),
        (b"x" * (1024 * 1024 + 1), "value larger than 1048576 bytes"),
        (b'{"resourceLogs":[{"scopeLogs":7}]}', "an OTLP batch that cannot be read"),
        (b"\x81\xa3log\xdd\xff\xff\xff\xff", "binary value of no known encoding"),
    ],
)
def test_limits_have_their_reasons(value: bytes, reason: str) -> None:
    """What is too much, or cannot be decoded, is quarantined with words; the rest is ignored."""
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())

    batch = reader.read(Partition("logs", 0), 0, [Record(0, 0, value)], WATCH, NOW_US)

    assert batch.read == 1
    assert [bad.reason.startswith(reason) for bad in batch.poison] == ([True] if reason else [])


def test_a_client_s_path_does_not_say_who_wrote_the_line() -> None:
    """Only what the shipper wrote beside the line is believed."""
    shape = EXPECTED["shapes"]["bare"]
    forged = "/var/log/pods/other_pod-1_" + "0" * 36 + "/istio-proxy/0.log"
    value = records(shape)[1].value.replace(b"/weather?day=3", forged.encode())
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())

    for wrapped in (value, json.dumps({"log": value.decode() + "\n"}).encode()):
        batch = reader.read(Partition("logs", 0), 0, [Record(0, 0, wrapped)], WATCH, NOW_US)
        assert [seen.observation.pod for seen in batch.seen] == [Identity()]
