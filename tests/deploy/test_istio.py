"""The files for Istio: formats, policies and filters as the product and a real Envoy take them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.batch import Watch
from collector.formats.given import read_formats
from collector.formats.parse import LineParser
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import AccessLog, Identity
from collector.sources.protocol import Partition, Record
from tests.deploy.envoy import Proxy, running
from tests.deploy.schema import CHART
from tests.deploy.schemas import problems
from verifier.policies.lint import lint
from verifier.policies.read import read_policies
from verifier.sample.look import look
from verifier.sample.needs import RECOMMENDED

FOLDER = CHART.parent / "istio"
MESH = (FOLDER / "mesh-config.yaml").read_text()
LABELS: dict[str, str] = yaml.safe_load(MESH)["meshConfig"]["extensionProviders"][0][
    "envoyFileAccessLog"
]["logFormat"]["labels"]


def documents(name: str) -> list[dict[str, Any]]:
    """The objects of a file."""
    return [one for one in yaml.safe_load_all((FOLDER / name).read_text()) if one]


def patch(name: str) -> Any:
    """What the only patch of an EnvoyFilter merges in."""
    (found,) = documents(name)
    (only,) = found["spec"]["configPatches"]
    return only["patch"]["value"]


@pytest.mark.parametrize(
    "name", sorted({p.name for p in FOLDER.glob("*.yaml")} - {"mesh-config.yaml"})
)
def test_every_object_is_valid(name: str) -> None:
    """Istio knows every field that is used."""
    assert [problem for one in documents(name) for problem in problems(one)] == []


def test_the_format_has_all_that_is_recommended() -> None:
    """The mesh logs what `mirrorproof format` recommends, and is read as that."""
    (found,) = read_formats(MESH)

    assert RECOMMENDED.items() <= LABELS.items()
    assert {"attempt", "stream_id", "pod", "namespace"} <= set(found.fields.chosen)


def test_the_telemetry_uses_the_provider_of_the_mesh() -> None:
    """The name is the same in both files, and nothing is filtered away."""
    (telemetry,) = documents("telemetry.yaml")
    (logging,) = telemetry["spec"]["accessLogging"]

    assert logging == {"providers": [{"name": "mirrorproof"}]}


def test_the_mirrored_route_is_a_clean_policy() -> None:
    """The policy reader finds one mirror of everything, and nothing to remark."""
    (policy,) = policies = read_policies([FOLDER / "virtualservice-mirrored.yaml"])

    assert lint(policies) == []
    assert [(one.destination.subset, one.percent) for one in policy.mirrors] == [("v1", 100.0)]
    assert [one.destination.subset for one in policy.live] == ["v2"]


def test_the_route_before_mirroring_has_nothing_to_verify() -> None:
    """That is all there is to say of it."""
    found = lint(read_policies([FOLDER / "virtualservice-weights.yaml"]))

    assert [one.code for one in found] == ["no-mirror"]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A sender's proxy with all of these files in force, which had some requests."""
    with running(
        tmp_path_factory.mktemp("istio"), LABELS, patch("upstream-log.yaml"),
        patch("shadow-header.yaml"),
    ) as found:  # fmt: skip
        yield found


@pytest.mark.integration
def test_a_real_proxy_writes_lines_that_lack_nothing(proxy: Proxy) -> None:
    """What Envoy writes by the mesh's format is read for sure, and lacks nothing."""
    lines = proxy.lines("access.log", 3)
    parsed = [LineParser(read_formats(MESH)).parse(line) for line in lines]

    found = look([line.encode() for line in lines], read_formats(MESH))

    assert [log.code for log in parsed if isinstance(log, AccessLog)] == [200] * 3
    assert [log.pod for log in parsed if isinstance(log, AccessLog)] == ["frontend-1"] * 3
    assert found.usable
    assert list(found.lacking.values()) == [[]]


@pytest.mark.integration
def test_a_real_proxy_marks_copies_and_nothing_else(proxy: Proxy) -> None:
    """v1 sees the header in each copy, v2 in no request."""
    assert proxy.marks("v1", 3) == ["true"] * 3
    assert proxy.marks("v2", 3) == [None] * 3


@pytest.mark.integration
def test_a_real_proxy_logs_which_copies_left_and_nobody_counts_that(proxy: Proxy) -> None:
    """There is a line for each request and each copy; the collector takes none for a request."""
    lines = proxy.lines("upstream.log", 6)
    reader = Reader(b"", (), lambda _: Identity(), PoisonLimits())
    watch = Watch(HostTable(["forecast.weather.svc.cluster.local"]), 1)
    records = [Record(n, 0, line.encode()) for n, line in enumerate(lines)]

    batch = reader.read(Partition("logs", 0), 0, records, watch, time.time_ns() // 1000)

    clusters = [json.loads(line)["upstream_log"]["cluster"] for line in lines]
    assert sorted({name.split("|")[2] for name in clusters}) == ["v1", "v2"]
    assert (batch.stored, batch.quarantined, batch.ignored) == (0, 0, 6)


def test_every_file_is_explained() -> None:
    """The README names each file of the folder."""
    text = (FOLDER / "README.md").read_text()

    assert [p.name for p in Path(FOLDER).iterdir() if f"({p.name})" not in text] == ["README.md"]
