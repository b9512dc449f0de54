"""The files for shippers: valid, without a way to lose lines in silence, and of shapes we read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from collector.batch import Watch
from collector.envelopes.found import MAX_VALUE_BYTES
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.settings import CollectorSettings, KafkaSettings
from collector.sources.protocol import Partition, Record
from tests.deploy.schema import CHART
from tests.deploy.schemas import problems

FOLDER = CHART.parent / "shippers"
GOLDEN = CHART.parents[1] / "tests" / "data" / "envelopes"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
TOPIC = KafkaSettings().topics[0]
CONFIGS = {
    "fluent-bit": "fluent-bit.yaml",
    "vector": "vector.yaml",
    "filebeat": "filebeat.yml",
    "otel-collector": "config.yaml",
}


def documents(name: str) -> list[dict[str, Any]]:
    """The objects of a file."""
    return [one for one in yaml.safe_load_all((FOLDER / name).read_text()) if one]


def config_text(shipper: str, key: str) -> str:
    """A shipper's own configuration, inside its ConfigMap."""
    (found,) = [one for one in documents(f"{shipper}.yaml") if one["kind"] == "ConfigMap"]
    return str(found["data"][key])


def config(shipper: str) -> dict[str, Any]:
    """The same, where it is YAML."""
    found: dict[str, Any] = yaml.safe_load(config_text(shipper, CONFIGS[shipper]))
    return found


def at(config: Any, path: str) -> Any:
    """What is at `a/b/0/c`."""
    for part in path.split("/"):
        config = config[int(part)] if isinstance(config, list) else config[part]
    return config


def sections(text: str) -> dict[str, dict[str, str]]:
    """Fluentd's sections by name (and `@type`), each with its own parameters."""
    found: dict[str, dict[str, str]] = {}
    open_ones: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if match := re.fullmatch(r"<(\w+)[^>]*>", stripped):
            open_ones.append((match[1], {}))
        elif stripped.startswith("</"):
            name, own = open_ones.pop()
            assert stripped == f"</{name}>"
            found[f"{name} {own.get('@type', '')}".strip()] = own
        elif stripped and not stripped.startswith("#"):
            name, _, value = stripped.partition(" ")
            open_ones[-1][1][name] = value.strip()
    assert open_ones == []
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_object_is_valid(name: str) -> None:
    """Kubernetes, or Strimzi, knows every field that is used."""
    assert [problem for one in documents(name) for problem in problems(one)] == []


@pytest.mark.parametrize(
    ("shipper", "path", "value"),
    [
        ("fluent-bit", "pipeline/inputs/0/multiline.parser", "cri"),
        ("fluent-bit", "pipeline/inputs/0/db", "/var/lib/fluent-bit/tail.db"),
        ("fluent-bit", "pipeline/inputs/0/read_from_head", True),
        ("fluent-bit", "pipeline/inputs/0/skip_long_lines", False),
        ("fluent-bit", "pipeline/inputs/0/storage.type", "filesystem"),
        ("fluent-bit", "service/storage.path", "/var/lib/fluent-bit/buffer"),
        ("fluent-bit", "service/storage.delete_irrecoverable_chunks", False),
        ("fluent-bit", "pipeline/filters/0/buffer_size", 0),
        ("fluent-bit", "pipeline/filters/0/k8s-logging.exclude", False),
        ("fluent-bit", "pipeline/outputs/0/retry_limit", "no_limits"),
        ("fluent-bit", "pipeline/outputs/0/queue_full_retries", 0),
        ("fluent-bit", "pipeline/outputs/0/rdkafka.message.timeout.ms", 0),
        ("fluent-bit", "pipeline/outputs/0/rdkafka.request.required.acks", -1),
        ("fluent-bit", "pipeline/outputs/0/rdkafka.enable.idempotence", True),
        ("vector", "sinks/kafka/acknowledgements/enabled", True),
        ("vector", "sinks/kafka/buffer/type", "disk"),
        ("vector", "sinks/kafka/buffer/when_full", "block"),
        ("vector", "sinks/kafka/message_timeout_ms", 0),
        ("vector", "sinks/kafka/librdkafka_options/request.required.acks", "all"),
        ("vector", "sources/proxies/auto_partial_merge", True),
        ("filebeat", "queue.disk/max_size", "20GB"),
        ("filebeat", "output.kafka/required_acks", -1),
        ("filebeat", "output.kafka/partition.hash/reachable_only", False),
        ("filebeat", "filebeat.inputs/0/clean_removed", False),
        ("filebeat", "filebeat.inputs/0/prospector.scanner.fingerprint.enabled", True),
        ("otel-collector", "receivers/file_log/storage", "file_storage"),
        ("otel-collector", "receivers/file_log/start_at", "beginning"),
        ("otel-collector", "receivers/file_log/retry_on_failure/max_elapsed_time", 0),
        ("otel-collector", "exporters/kafka/retry_on_failure/max_elapsed_time", 0),
        ("otel-collector", "exporters/kafka/sending_queue/storage", "file_storage"),
        ("otel-collector", "exporters/kafka/sending_queue/block_on_overflow", True),
        ("otel-collector", "exporters/kafka/producer/required_acks", -1),
    ],
)
def test_what_prevents_a_silent_loss_is_set(shipper: str, path: str, value: object) -> None:
    """Each option without which lines go in silence has the value that keeps them."""
    assert at(config(shipper), path) == value


def test_fluentd_loses_nothing_in_silence() -> None:
    """Its configuration is well formed, and has the options that keep lines."""
    found = sections(config_text("fluentd", "fluent.conf"))

    assert found["source tail"]["pos_file"].startswith("/var/lib/fluentd/")
    assert found["source tail"]["read_from_head"] == "true"
    assert found["source tail"]["emit_unmatched_lines"] == "true"
    assert found["filter concat"]["use_partial_cri_logtag"] == "true"
    assert found["match kafka2"]["required_acks"] == "-1"
    assert found["match kafka2"]["discard_kafka_delivery_failed"] == "false"
    assert "max_send_limit_bytes" not in found["match kafka2"]
    assert found["buffer file"]["retry_forever"] == "true"
    assert found["buffer file"]["overflow_action"] == "block"


def test_the_opentelemetry_collector_holds_nothing_in_memory() -> None:
    """Its pipeline has no batch processor, and every part that it names."""
    found = config("otel-collector")
    pipeline = found["service"]["pipelines"]["logs"]

    assert "batch" not in pipeline["processors"]
    for kind, names in pipeline.items():
        assert set(names) == set(found[kind])
    assert set(found["service"]["extensions"]) == set(found["extensions"])


def test_state_of_fluent_bit_outlives_its_pod() -> None:
    """Positions and what waits are on the node."""
    (daemon,) = [one for one in documents("fluent-bit.yaml") if one["kind"] == "DaemonSet"]
    spec = daemon["spec"]["template"]["spec"]
    mounts = {m["mountPath"]: m["name"] for m in spec["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    grace = config("fluent-bit")["service"]["grace"]

    assert "hostPath" in volumes[mounts["/var/lib/fluent-bit"]]
    assert spec["terminationGracePeriodSeconds"] > grace
    assert set(mounts.values()) == set(volumes)


def test_all_ship_to_the_topic_that_is_read() -> None:
    """The topic is the collector's default, as the file for Strimzi has it."""
    topic = next(one for one in documents("strimzi.yaml") if one["kind"] == "KafkaTopic")

    assert topic["metadata"]["name"] == TOPIC
    assert at(config("fluent-bit"), "pipeline/outputs/0/topics") == TOPIC
    assert at(config("vector"), "sinks/kafka/topic") == TOPIC
    assert at(config("filebeat"), "output.kafka/topic") == TOPIC
    assert at(config("otel-collector"), "exporters/kafka/logs/topic") == TOPIC
    assert sections(config_text("fluentd", "fluent.conf"))["match kafka2"]["default_topic"] == TOPIC


def test_all_ship_heartbeats_beside_proxies() -> None:
    """The files that each reads hold those of the heartbeats."""
    read = {
        "fluent-bit": at(config("fluent-bit"), "pipeline/inputs/0/path").split(","),
        "fluentd": sections(config_text("fluentd", "fluent.conf"))["source tail"]["path"].split(
            ","
        ),
        "vector": at(config("vector"), "sources/proxies/include_paths_glob_patterns"),
        "filebeat": at(config("filebeat"), "filebeat.inputs/0/paths"),
        "otel-collector": at(config("otel-collector"), "receivers/file_log/include"),
    }

    for paths in read.values():
        assert len(paths) == 2
        assert "istio-proxy" in paths[0]
        assert "mirrorproof-heartbeat-" in paths[1]


def test_topic_and_collector_take_records_of_the_same_size() -> None:
    """No record is refused by one and taken by the other; no shipper sends a larger one."""
    topic = next(one for one in documents("strimzi.yaml") if one["kind"] == "KafkaTopic")

    assert at(topic, "spec/config")["max.message.bytes"] == MAX_VALUE_BYTES
    assert at(config("filebeat"), "output.kafka/max_message_bytes") <= MAX_VALUE_BYTES
    assert at(config("otel-collector"), "exporters/kafka/producer/max_message_bytes") <= (
        MAX_VALUE_BYTES
    )


def test_nobody_may_do_more_with_the_topic_than_they_must() -> None:
    """Shippers write, collectors read, in the group that is theirs."""
    rights = {
        one["metadata"]["name"]: {
            (acl["resource"]["type"], acl["resource"]["name"], operation)
            for acl in one["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        }
        for one in documents("strimzi.yaml")
        if one["kind"] == "KafkaUser"
    }

    assert rights["mirrorproof-shipper"] == {
        ("topic", TOPIC, "Describe"),
        ("topic", TOPIC, "Write"),
    }
    assert {op for _, _, op in rights["mirrorproof-collector"]} == {
        *("Describe", "DescribeConfigs", "Read")
    }
    assert ("group", KafkaSettings().group, "Read") in rights["mirrorproof-collector"]


SHAPES = {
    "fluent-bit": ("fluent-bit.json", "log"),
    "fluentd": ("fluentd.json", "log"),
    "vector": ("vector.json", "message"),
    "filebeat": ("filebeat.json", "message"),
    "otel-collector": (
        "otel-otlp-json.json",
        "resourceLogs/0/scopeLogs/0/logRecords/0/body/stringValue",
    ),
}
BEAT = '{"mirrorproof": "heartbeat", "node": "node-z", "time": "2026-11-22T15:11:42Z"}'


def record(shipper: str, line: str) -> bytes:
    """A record of a shipper, as its golden file has it, around a line."""
    file, path = SHAPES[shipper]
    whole = json.loads((GOLDEN / file).read_text().splitlines()[0])
    parent, _, last = path.rpartition("/")
    if shipper == "otel-collector":
        whole["resourceLogs"] = whole["resourceLogs"][:1]
        scope = whole["resourceLogs"][0]["scopeLogs"][0]
        scope["logRecords"] = scope["logRecords"][:1]
    elif shipper == "fluent-bit":
        whole["@timestamp"] = "2026-11-22T15:11:42.905123456Z"  # iso8601_ns
    (at(whole, parent) if parent else whole)[last] = line
    return json.dumps(whole).encode()


def read(value: bytes) -> Any:
    """The batch of one record."""
    containers = CollectorSettings().containers
    reader = Reader(b"secret", containers, lambda _: Identity(), PoisonLimits())
    watch = Watch(HostTable(["forecast.weather.svc.cluster.local"]), 1)
    now_us = 1_795_360_310_000_000
    return reader.read(Partition("logs", 0), 0, [Record(0, now_us, value)], watch, now_us)


@pytest.mark.parametrize("shipper", SHAPES)
def test_the_collector_reads_lines_as_they_are_shipped(shipper: str) -> None:
    """The mesh's JSON lines come out of each shipper's records, with the pod that wrote them."""
    lines = json.loads((GOLDEN / "expected.json").read_text())["lines"].values()
    line = next(text for text in lines if text.startswith("{"))

    (seen,) = read(record(shipper, line)).seen

    assert seen.observation.pod.pod == "forecast-v2-7b9c4d5e8-klmno"
    assert seen.observation.pod.namespace == "weather"


@pytest.mark.parametrize("shipper", SHAPES)
def test_the_collector_hears_the_node_through_every_shipper(shipper: str) -> None:
    """A heartbeat on a pod's standard output is one, whatever container the shipper names."""
    batch = read(record(shipper, BEAT).replace(b"istio-proxy", b"heartbeat"))

    assert (batch.heartbeats, batch.quarantined) == (1, 0)


def test_what_decides_a_shape_is_set_as_in_the_golden_file() -> None:
    """Lines stay whole, below the key where the golden records have them."""
    filters = at(config("fluent-bit"), "pipeline/filters/0")
    fluentd = sections(config_text("fluentd", "fluent.conf"))

    assert (filters["merge_log"], filters["keep_log"]) == (False, True)
    assert at(config("fluent-bit"), "pipeline/outputs/0/format") == "json"
    assert at(config("fluent-bit"), "pipeline/outputs/0/timestamp_format") == "iso8601_ns"
    assert fluentd["format json"] == {"@type": "json"}
    assert fluentd["parse none"]["message_key"] == "log"
    assert at(config("vector"), "sinks/kafka/encoding") == {"codec": "json"}
    assert "codec.json" in config("filebeat")["output.kafka"]
    assert at(config("otel-collector"), "exporters/kafka/logs/encoding") == "otlp_json"


def test_the_heartbeat_is_one() -> None:
    """The program in the DaemonSet, run for real, writes lines that the collector hears."""
    (daemon,) = documents("heartbeat.yaml")
    container = daemon["spec"]["template"]["spec"]["containers"][0]
    program, *arguments = container["command"]
    environment = {**os.environ, container["env"][0]["name"]: "node-a"}

    assert program == "python3"
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().rstrip(b"\n")
        process.terminate()

    assert process.returncode == 0
    assert read(line).heartbeats == 1
    assert json.loads(line)["node"] == "node-a"


def test_the_heartbeat_s_pod_is_restricted() -> None:
    """It needs nothing but to write to its standard output."""
    (daemon,) = documents("heartbeat.yaml")
    spec = daemon["spec"]["template"]["spec"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert "volumes" not in spec
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_file_is_explained() -> None:
    """The README names each file of the folder."""
    text = (FOLDER / "README.md").read_text()

    assert [name for name in FILES if f"({name})" not in text] == []
