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
