"""Recorded lines as records that nodes ship: who sent what when, and what is true of it."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from collector.formats.parse import parse_line
from collector.keys import mask_request_id
from collector.records import AccessLog
from tests import recordings
from tests.settling import NOW, SECOND

NODES = {
    "frontend-v1-6c9d8f7b5d-x2x7p": "node-a",
    "forecast-v1-5d8f9b7c6-abcde": "node-b",
    "forecast-v2-7b9c4d5e8-klmno": "node-b",
    "forecast-v1-5d8f9b7c6-fghij": "node-c",
    "forecast-v2-7b9c4d5e8-pqrst": "node-c",
}
"""On which node each recorded pod runs: a mirror's node has one of the primary, too."""
STRETCH = 20
"""Recordings last a few seconds; their page views are drawn apart by so much."""
BEAT_US = 2 * SECOND
"""How often each node sends a heartbeat."""
WARM_US = 30 * SECOND
"""Nodes are heard so long before the traffic begins, and after it ended."""
_TRANSIT_US = 300_000
_TIME = re.compile(rb'(^\[|"start_time": ?")[^]"]+')

Key = tuple[str, str]
"""Request id, its trace reason masked, and path."""


class Told(NamedTuple):
    """One line: who wrote it, its request, from when to when (µs), and its text."""

    pod: str
    key: Key
    start_us: int
    end_us: int
    text: bytes


class Shipped(NamedTuple):
    """One record on its way: when it reaches the broker (µs), and by which partition."""

    arrives_us: int
    node: str
    pod: str
    partition: int
    value: bytes
    line: Told | None


@dataclass(frozen=True)
class Truth:
    """What really happened, by request: from lines that nobody lost.

    Attributes:
        matched: Live requests to the primary whose copy arrived.
        missing: Those whose copy did not.
        leaked: Live requests to the mirror; they have copies, too.
        doubled: Copies beyond one for each request.
    """

    matched: Counter[Key]
    missing: Counter[Key]
    leaked: Counter[Key]
    doubled: Counter[Key]


def told_of(recording: str, copies: int = 1) -> list[Told]:
    """The lines of a recording, drawn apart in time, by their ends.

    Args:
        recording: Its folder.
        copies: So often one after the other, each time with other request ids.
    """
    found = [
        (pod, parsed, line)
        for pod, lines in recordings.read(recording).items()
        for line in lines
        if isinstance(parsed := parse_line(line.decode().rstrip("\n")), AccessLog)
    ]
    begins: dict[str, int] = {}
    for _, log, _ in found:
        begins[log.request_id] = min(log.start_us, begins.get(log.request_id, log.start_us))
    first_us = min(begins.values())
    length_us = (max(begins.values()) - first_us) * STRETCH + 10 * SECOND
    told = []
    for number in range(copies):
        for pod, log, line in found:
            begin_us = begins[log.request_id]
            start_us = log.start_us - begin_us + (begin_us - first_us) * STRETCH
            start_us += NOW + WARM_US + number * length_us
            told.append(_moved(pod, log, line, start_us, number))
    return sorted(told, key=lambda one: one.end_us)


def _moved(pod: str, log: AccessLog, line: bytes, start_us: int, number: int) -> Told:
    """A line that starts at another time; repeated traffic has ids of its own."""
    start_us -= start_us % 1000
    request_id = log.request_id
    if number:
        request_id = f"{request_id[:-4]}{number:04x}"
        line = line.replace(log.request_id.encode(), request_id.encode())
    time = datetime.fromtimestamp(start_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    text = _TIME.sub(rb"\g<1>" + time.encode() + b"Z", line, count=1)
    key = (mask_request_id(request_id), log.path)
    return Told(pod, key, start_us, start_us + log.duration_ms * 1000, text)


def truth_of(told: Iterable[Told]) -> Truth:
    """What really happened. The sender's log is complete, and so are the mirror's."""
    requests: Counter[Key] = Counter()
    leaked: Counter[Key] = Counter()
    arrived: Counter[Key] = Counter()
    for one in told:
        if one.pod.startswith("frontend"):
            if b"|v2|" in one.text:
                requests[one.key] += 1
            else:
                leaked[one.key] += 1
        elif "-v1-" in one.pod:
            arrived[one.key] += 1
    copies = arrived - leaked
    return Truth(requests & copies, requests - copies, leaked, copies - requests - leaked)


def ship(told: Iterable[Told], partitions: int, random_of: random.Random) -> list[Shipped]:
    """The records of lines and heartbeats, in good order: each pod by one partition."""
    lines = list(told)
    pods = sorted({one.pod for one in lines})
    found = [
        Shipped(
            one.end_us + _TRANSIT_US + random_of.randrange(_TRANSIT_US),
            NODES[one.pod],
            one.pod,
            pods.index(one.pod) % partitions,
            _envelope(one),
            one,
        )
        for one in lines
    ]
    found += heartbeats(lines[0].start_us - WARM_US, lines[-1].end_us + WARM_US, partitions)
    return sorted(found)


def heartbeats(since_us: int, until_us: int, partitions: int) -> list[Shipped]:
    """What each node sends to show that its logs arrive."""
    found = []
    for number, node in enumerate(sorted(set(NODES.values()))):
        for time_us in range(since_us, until_us, BEAT_US):
            time = datetime.fromtimestamp(time_us / 1e6, UTC).isoformat().replace("+00:00", "Z")
            value = json.dumps({"mirrorproof": "heartbeat", "node": node, "time": time}).encode()
            found.append(Shipped(time_us + _TRANSIT_US, node, "", number % partitions, value, None))
    return found


def _envelope(one: Told) -> bytes:
    record = json.loads(recordings.fluent_bit(one.pod, one.text))
    record["kubernetes"]["host"] = NODES[one.pod]
    return json.dumps(record, ensure_ascii=False).encode()


Fault = Callable[[list[Shipped], random.Random], list[Shipped]]
"""What becomes of records on their way."""


def dropped(share: float) -> Fault:
    """Single lines are lost, anywhere."""
    return lambda sent, chance: [
        one for one in sent if one.line is None or chance.random() >= share
    ]


def blocks(length_us: int) -> Fault:
    """Each node loses all that it sends for a while, one after the other."""

    def fault(sent: list[Shipped], chance: random.Random) -> list[Shipped]:
        begin_us = _first_us(sent)
        step_us = (_last_us(sent) - begin_us) // 4
        gone = {
            node: begin_us + number * step_us + chance.randrange(step_us)
            for number, node in enumerate(("node-b", "node-a", "node-c"))
        }
        return [one for one in sent if not 0 <= one.arrives_us - gone[one.node] < length_us]

    return fault


def delayed(share: float, longest_us: int) -> Fault:
    """Some lines come late, by anything up to a time."""
    return lambda sent, chance: sorted(
        one._replace(arrives_us=one.arrives_us + chance.randrange(longest_us))
        if one.line is not None and chance.random() < share
        else one
        for one in sent
    )


def node_delayed(node: str, by_us: int) -> Fault:
    """All that one node sends comes late, heartbeats too."""
    return lambda sent, _: sorted(
        one._replace(arrives_us=one.arrives_us + by_us) if one.node == node else one for one in sent
    )


def repeated(share: float, longest_us: int) -> Fault:
    """Some lines are sent again later."""
    return lambda sent, chance: sorted(
        [
            *sent,
            *(
                one._replace(arrives_us=one.arrives_us + chance.randrange(longest_us))
                for one in sent
                if one.line is not None and chance.random() < share
            ),
        ]
    )


def reordered(partitions: int, longest_us: int) -> Fault:
    """Lines go by any partition, and take any time up to a longest."""
    return lambda sent, chance: sorted(
        one._replace(
            partition=chance.randrange(partitions),
            arrives_us=one.arrives_us + chance.randrange(longest_us),
        )
        for one in sent
    )


def dead(node: str, *, back: bool) -> Fault:
    """A node's shipper dies in the middle; if it comes back, what was meanwhile is lost."""

    def fault(sent: list[Shipped], _: random.Random) -> list[Shipped]:
        begin_us, end_us = _first_us(sent), _last_us(sent)
        since_us = begin_us + (end_us - begin_us) // 3
        until_us = begin_us + 2 * (end_us - begin_us) // 3 if back else 1 << 62
        return [
            one for one in sent if one.node != node or not since_us <= one.arrives_us < until_us
        ]

    return fault


def _first_us(sent: list[Shipped]) -> int:
    return min(one.arrives_us for one in sent if one.line is not None)


def _last_us(sent: list[Shipped]) -> int:
    return max(one.arrives_us for one in sent if one.line is not None)
