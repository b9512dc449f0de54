"""The whole live pipeline against `check` and brute force, over generated requests.

Lines go to one to eight partitions in any order, some late; collectors vanish and verifiers leave
in between. Most runs are read from a broker in memory, by the real collector; every
`THROUGH_KAFKA`-th comes through the real broker and the real client.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine, func, select

from collector.db.engine import reading
from collector.settings import KafkaSettings
from collector.sources.clients import KafkaOpener
from collector.sources.protocol import RecordSource
from tests.pipeline_cases import PODS, Generated, Written, generate
from tests.servers.kafka import KafkaBroker
from tests.settling import emptied, make_policy
from tests.shipping.live import TOPIC, Pipeline
from tests.shipping.traffic import Shipped
from verifier.check import report
from verifier.check.run import check
from verifier.pairing.lines import Verdict
from verifier.policies.stored import to_record
from verifier.settle.report import totals
from verifier.tables import settled_window

pytestmark = [pytest.mark.integration, pytest.mark.no_cover]
POLICY = make_policy(("v1", 100.0))
CASES = int(os.environ.get("MIRRORPROOF_TEST_CASES", "60"))
"""On each database."""
TOGETHER = 10
"""So many cases, whose requests have nothing in common, share a run."""
THROUGH_KAFKA = 5
Case = tuple[dict[str, int], tuple[int, int], str]
"""Verdicts, requests at least and at most, and the statement."""


def by_check(case: Generated, folder: Path) -> Case:
    """What `check` says of the same lines in files, in records where only these tell versions."""
    files = []
    for pod in sorted({*PODS.values(), *(one.pod for one in case.lines)}):
        files.append(folder / f"{pod}.log")
        own = [one for one in case.lines if one.pod == pod]
        told = any(one.version for one in own)
        lines = [one.record if told else one.text.encode() for one in own]
        files[-1].write_bytes(b"".join(line + b"\n" for line in lines))
    with check((POLICY,), [str(file) for file in files]) as outcome:
        (found,) = report.to_json(outcome, report.results(outcome))["policies"]
    requests = found["primary"]["requests"], found["primary"]["requests_high"]
    return _without_zeros(found["verdicts"]), requests, found["statement"]


def by_pipeline(engine: Engine) -> tuple[Case, Counter[str]]:
    """What the settled windows say as a whole, and their sums before log loss is taken off."""
    c = settled_window.c
    names = [verdict.value for verdict in Verdict if verdict is not Verdict.PENDING]
    with reading(engine) as connection:
        found = totals(connection, POLICY.name)
        sums = select(*(func.sum(c[name]) for name in names)).where(c.superseded_us.is_(None))
        row = connection.execute(sums).one()
    requests = found.requests, found.requests_high
    said = _without_zeros(found.verdicts), requests, found.statement
    return said, Counter({name: int(n) for name, n in zip(names, row, strict=True) if n})


def _without_zeros(verdicts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in verdicts.items() if count}


def deliver(
    pipeline: Pipeline,
    case: Generated,
    partitions: int,
    chance: Random,
    send: Callable[[list[Shipped]], object],
) -> None:
    """Ships the lines in any order, in parts; the last may come when all else is settled."""
    lines = chance.sample(case.lines, len(case.lines))
    lines += chance.sample(lines, min(3, len(lines)))  # shippers repeat themselves
    sent = 0
    while lines:
        some = [lines.pop() for _ in range(min(len(lines), chance.randrange(20, 200)))]
        now_us = pipeline.clock.now_us()
        send([_shipped(one, now_us, chance.randrange(partitions)) for one in some])
        sent += len(some)
        for restart in (pipeline.start_collector, pipeline.start_verifier):
            if chance.random() < 0.25:
                restart()
        pipeline.collect_all(sent)
        pipeline.step(chance.choice((1, 20, 90)))
    for seconds in (60, 60):
        pipeline.step(seconds)


def _shipped(one: Written, arrives_us: int, partition: int) -> Shipped:
    return Shipped(arrives_us, "", one.pod, partition, one.record, None)


def test_the_pipeline_says_what_check_and_brute_force_say(
    engine: Engine, kafka: KafkaBroker, tmp_path: Path
) -> None:
    """However lines arrive, and whoever is restarted, the final verdicts are the same."""
    for seed in range(-(-CASES // TOGETHER)):
        chance = Random(seed)
        case, partitions = generate(chance, TOGETHER), chance.randrange(1, 9)
        if seed % 2:
            case = case.unnamed(Random(seed))
        through_kafka = seed % THROUGH_KAFKA == 0
        topic = kafka.create_topic(partitions) if through_kafka else TOPIC
        pipeline = Pipeline(
            emptied(engine),
            [to_record(POLICY)],
            partitions,
            opener=_opener(kafka, topic, partitions) if through_kafka else None,
            window_s=chance.choice((5, 10, 30)),
        )
        send = _sender(kafka, topic) if through_kafka else pipeline.take

        deliver(pipeline, case, partitions, chance, send)
        pipeline.close()
        said, before_loss = by_pipeline(engine)

        assert said == by_check(case, tmp_path), seed
        assert (before_loss, said[1]) == (case.verdicts, case.requests), seed


def _opener(kafka: KafkaBroker, topic: str, partitions: int) -> Callable[[], RecordSource]:
    settings = {
        "bootstrap_servers": kafka.bootstrap,
        "topics": topic,
        "partitions": f"0-{partitions - 1}",
    }
    return KafkaOpener(KafkaSettings.model_validate(settings))


def _sender(kafka: KafkaBroker, topic: str) -> Callable[[list[Shipped]], object]:
    def send(sent: list[Shipped]) -> None:
        for partition in sorted({one.partition for one in sent}):
            kafka.send(topic, [o.value for o in sent if o.partition == partition], partition)

    return send
