"""Asks the brokers: in no group, committing nothing, a few records of each of some partitions.

Records are fetched a producer's batch at a time, as what grows without a bound when it is
unpacked must not end the doctor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from collector.errors import MirrorproofError
from collector.settings import KafkaSettings, Settings
from collector.settings.reader import formats_of_settings
from collector.sources.kafka_connection import as_our_error, connect, connection_options
from collector.sources.protocol import Bounds, Partition, Record
from collector.sources.units import KafkaUnits
from verifier.doctor import judge_kafka
from verifier.doctor.finding import Finding, fail, ok, skipped
from verifier.doctor.judge_kafka import Place
from verifier.sample.look import look

MOST_PARTITIONS: Final = 8
"""Of all topics together: records of so many are looked at."""
MOST_RECORDS: Final = 100
"""Of each of them, the last ones."""
_CLIENT: Final = "mirrorproof-doctor"
_ASK_TIMEOUT_MS: Final = 5_000
_MOST_UNITS: Final = 200

Report = Callable[[Finding], object]
Places = Callable[[], Sequence[Place]]


def names(kafka: KafkaSettings) -> tuple[str, ...]:
    """What `examine` reports."""
    topics = [name for one in kafka.topics for name in (f"topic {one}", f"retention of {one}")]
    return ("brokers", *topics, "lag", "record times", "log format")


def examine(
    settings: Settings,
    places: Places,
    now_us: int,
    report: Report,
    configured_s: Callable[[KafkaSettings, str], float | None] | None = None,
) -> None:
    """Looks at brokers, topics, lag and the last records.

    Args:
        settings: All settings.
        places: Reads how far partitions are read; raises MirrorproofError: nobody knows.
        now_us: Our clock.
        report: Told each finding.
        configured_s: How long a topic keeps records; None: `retention_s`.

    Raises:
        MirrorproofError: What is not reported could not be seen.
    """
    kafka, kept_s = settings.kafka, configured_s or retention_s
    try:
        bounds = _bounds(kafka)
    except MirrorproofError as error:
        report(fail("brokers", str(error), "see kafka.* of the settings, and the network policy"))
        raise
    report(ok("brokers", f"{kafka.security_protocol} to {','.join(kafka.bootstrap_servers)}"))
    for topic in kafka.topics:
        own = {str(one): found.end for one, found in bounds.items() if one.topic == topic}
        report(judge_kafka.partitions(topic, own))
    sample, ends, oldest_us = _sample(kafka, bounds)
    newest_us = max((one.timestamp_us for one in sample if one.timestamp_us), default=None)
    report(judge_kafka.record_times(newest_us, now_us))
    formats = formats_of_settings(settings.collector)
    report(judge_kafka.log_format(look((one.value for one in sample), formats)))
    late_s = _report_lag(places, ends, now_us, report)
    for topic in kafka.topics:
        held_s = _age_s([us for one, us in oldest_us.items() if one.topic == topic], now_us)
        report(judge_kafka.kept(topic, kept_s(kafka, topic), held_s, late_s))


def _report_lag(
    places: Places, ends: Mapping[Partition, int], now_us: int, report: Report
) -> float:
    """Tells the lag; returns how old the oldest is that waits, seconds."""
    try:
        found = places()
    except MirrorproofError:
        report(skipped("lag", "the database does not tell how far we are"))
        return 0.0
    named = {str(one): end for one, end in ends.items()}
    report(judge_kafka.lag(found, named, now_us))
    waiting = [
        one for one in found if one.watermark_us and named.get(one.name, 0) > one.next_offset
    ]
    return _age_s([one.watermark_us for one in waiting if one.watermark_us], now_us) or 0.0


def _age_s(times_us: Sequence[int], now_us: int) -> float | None:
    return max(0, now_us - min(times_us)) / 1e6 if times_us else None


def _bounds(kafka: KafkaSettings) -> dict[Partition, Bounds]:
    """What all partitions of the topics hold; of a topic that does not exist, none."""
    where = ",".join(kafka.bootstrap_servers)
    consumer = connect(kafka, None, _CLIENT)
    try:
        found = [
            TopicPartition(topic, number)
            for topic in kafka.topics
            for number in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        if not found:
            return {}
        begins = consumer.beginning_offsets(found, timeout_ms=_ASK_TIMEOUT_MS)
        ends = consumer.end_offsets(found, timeout_ms=_ASK_TIMEOUT_MS)
        return {Partition(*one): Bounds(begins[one], ends[one]) for one in found if one in ends}
    except (KafkaError, OSError) as error:
        raise as_our_error(error, where) from error
    finally:
        with contextlib.suppress(KafkaError, RuntimeError, OSError):
            consumer.close(autocommit=False, timeout_ms=_ASK_TIMEOUT_MS)


def _sample(
    kafka: KafkaSettings, bounds: Mapping[Partition, Bounds]
) -> tuple[list[Record], dict[Partition, int], dict[Partition, int]]:
    """The last records of some partitions.

    Returns:
        Them; the end offsets of all partitions, corrected where a broker names the beginning of
        the last batch; and the times of the oldest records where older ones were dropped, µs.
    """
    records: list[Record] = []
    ends = {one: found.end for one, found in bounds.items()}
    oldest_us: dict[Partition, int] = {}
    filled = [one for one, found in bounds.items() if found.end > found.begin]
    for one in filled[:: max(1, len(filled) // MOST_PARTITIONS)][:MOST_PARTITIONS]:
        begin, end = bounds[one]
        with _units(kafka, one) as units:
            if begin > 0 and (first := units.look(begin)) is not None and first.since_us:
                oldest_us[one] = first.since_us
            last, ends[one] = _last(units, max(begin, end - MOST_RECORDS), end)
            records += last[-MOST_RECORDS:]
    return records, ends, oldest_us


def _last(units: KafkaUnits, offset: int, end: int) -> tuple[list[Record], int]:
    """The records from an offset on, and where they end."""
    found: list[Record] = []
    for _ in range(_MOST_UNITS):
        unit = units.look(offset)
        if unit is None:
            break
        if not unit.is_large:
            found += unit.unpack()
        offset = unit.to_offset
    return found, max(end, offset)


@contextlib.contextmanager
def _units(kafka: KafkaSettings, partition: Partition) -> Iterator[KafkaUnits]:
    units = KafkaUnits(kafka, partition)
    try:
        yield units
    finally:
        units.close()


def retention_s(kafka: KafkaSettings, topic: str) -> float | None:
    """How long a topic keeps records by its configuration; None: brokers do not tell us.

    Below zero: for ever. It takes the right to describe the topic's configuration. The client
    knows no time limit where a broker does not know the question: whoever waits gives up.
    """
    answers: SimpleQueue[float | None] = SimpleQueue()
    asking = partial(_ask_retention, kafka, topic, answers)
    Thread(target=asking, name="doctor-retention", daemon=True).start()
    try:
        return answers.get(timeout=_ASK_TIMEOUT_MS / 1000)
    except Empty:
        return None


def _ask_retention(kafka: KafkaSettings, topic: str, answers: SimpleQueue[float | None]) -> None:
    options = connection_options(kafka)
    options.pop("metrics_enabled")  # unknown to this client, and refused
    found: float | None = None
    with contextlib.suppress(KafkaError, OSError, RuntimeError):
        admin = KafkaAdminClient(**options, client_id=_CLIENT)
        try:
            asked = ConfigResource(ConfigResourceType.TOPIC, topic)
            found = _milliseconds(admin.describe_configs([asked], config_filter="all"), topic)
        finally:
            admin.close()
    answers.put(found if found is None else found / 1000)


def _milliseconds(answer: Any, topic: str) -> float | None:
    """`retention.ms` of a topic in the client's answer, which has no documented shape."""
    try:
        value = next(iter(answer.values()))[topic]["retention.ms"]
        return float(value["value"] if isinstance(value, dict) else value)
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration):
        return None
