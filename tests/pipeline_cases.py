"""Generated requests as lines of text, and what brute force says of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from tests.factories import attempt, bypassing, client, foreign, leaking, shadow, stranger, terms
from tests.lines import HOST, shipped
from tests.settling import NOW, SECOND
from tests.unit.pairing.oracle import oracle
from verifier.pairing.episodes import episodes
from verifier.pairing.lines import Line, Side

PODS = {
    Side.CLIENT_LIVE: "frontend-v1-6c9d8f7b5d-x2x7p",
    Side.CLIENT_MIRROR: "frontend-v1-6c9d8f7b5d-x2x7p",
    Side.CLIENT_OTHER: "frontend-v1-6c9d8f7b5d-x2x7p",
    Side.SERVER_LIVE: "forecast-v2-7b9c4d5e8-klmno",
    Side.SERVER_MIRROR: "forecast-v1-5d8f9b7c6-abcde",
    Side.SERVER_UNKNOWN: "forecast-77cfbd95d8-abcde",
    Side.SERVER_OTHER: "billing-77cfbd95d8-abcde",
}
UNNAMED = {
    Side.SERVER_LIVE: "forecast-7b9c4d5e8-klmno",
    Side.SERVER_MIRROR: "forecast-5d8f9b7c6-fghij",
}
"""Pods whose names do not tell their versions."""
VERSIONS = {Side.SERVER_LIVE: "v2", Side.SERVER_MIRROR: "v1"}
_SUBSETS = {Side.CLIENT_LIVE: "v2", Side.CLIENT_MIRROR: "v1", Side.CLIENT_OTHER: "v9"}
_OUTCOMES = [(200, ""), (200, ""), (503, ""), (503, "URX"), (503, "UF"), (0, "DC"), (404, "")]
_SENT = [(200, ""), (200, ""), (503, "URX,UF"), (0, "DC"), (504, "UT"), (404, "NR"), (101, "")]
_MAKERS = [client, attempt, attempt, shadow, shadow, shadow, bypassing, leaking]
_MAKERS += [stranger, foreign]
_TIMES_MS = [0, 1, 3, 30, 70, 130, 900]
_SPANS_MS = [0, 5, 20, 90, 200]


class Written(NamedTuple):
    """A line, the pod that wrote it, and the label that its shipper added, if any."""

    pod: str
    text: str
    version: str = ""

    @property
    def record(self) -> bytes:
        """As a shipper sends it, which names no node."""
        labels = {"version": self.version} if self.version else {}
        return shipped(self.text, pod=self.pod, node="", **labels)


class Generated(NamedTuple):
    """A case: its lines in any order, and what is right to say of them, by verdict."""

    lines: list[Written]
    verdicts: Counter[str]
    requests: tuple[int, int]

    def unnamed(self, chance: Random) -> Generated:
        """The same of pods whose versions only labels tell, which most of their lines lack."""
        sides = {PODS[side]: side for side in UNNAMED}
        lines, told, share = [], set[Side](), chance.choice((0.0, 0.3))
        for one in reversed(self.lines):
            side = sides.get(one.pod)
            if side is None:
                lines.append(one)
                continue
            has_label = side not in told or chance.random() < share
            told.add(side)
            written = Written(UNNAMED[side], one.text)
            labelled = written._replace(version=VERSIONS[side])
            lines.append(labelled if has_label else written)
            if chance.random() < share / 3:  # its shipper began anew, and knows the labels by now
                lines.append(labelled)
        return self._replace(lines=lines[::-1])


def generate(chance: Random, cases: int = 1) -> Generated:
    """Requests of the first 15 seconds: one to eight a case, and one that all pods logged well."""
    found = Generated([], Counter(), (0, 0))
    for number in range(cases):
        plain = [client(xff=0), attempt(xff=0), shadow()]
        keys = [plain, *(_episode(chance) for _ in range(chance.randrange(1, 9)))]
        for place, lines in enumerate(keys):
            found = _with_key(found, lines, f"{number:04x}-{place:012x}", chance)
    return found


def _with_key(found: Generated, lines: list[Line], name: str, chance: Random) -> Generated:
    """The case with one key more, unless brute force finds two right answers for it."""
    opinions = [oracle(e, terms(senders_logged=True)) for e in episodes(lines, 5 * SECOND)]
    if any(one.unclear for one in opinions):
        return found
    start_us = NOW + chance.randrange(15_000) * 1000
    request_id = f"{chance.getrandbits(32):08x}-0000-4000-{name}"
    for one in opinions:
        found.verdicts.update(one.verdicts)
    return Generated(
        [*found.lines, *(_written(line, request_id, start_us, chance) for line in lines)],
        found.verdicts,
        (
            found.requests[0] + sum(one.requests for one in opinions),
            found.requests[1] + sum(one.requests_high for one in opinions),
        ),
    )


def _episode(chance: Random) -> list[Line]:
    """Up to seven lines of one key."""
    found = []
    for _ in range(chance.randrange(1, 8)):
        make = chance.choice(_MAKERS)
        code, flags = chance.choice(_SENT if make is client else _OUTCOMES)
        fields: dict[str, object] = {
            "at": chance.choice(_TIMES_MS),
            "lasts": chance.choice(_SPANS_MS),
            "code": code,
            "flags": flags,
        }
        if make in (client, attempt):
            fields["xff"] = 0
        found.append(make(**fields))
        found[-1].where = flags
    return found


def _written(line: Line, request_id: str, start_us: int, chance: Random) -> Written:
    """A line as its proxy writes it."""
    side = Side(line.side)
    time = datetime.fromtimestamp((start_us + line.start_us) / 1e6, UTC)
    begin = time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    lasts = (line.end_us - line.start_us) // 1000
    subset = _SUBSETS.get(side)
    cluster = f"outbound|3002|{subset}|{HOST}" if subset else "inbound|3002||"
    authority = "forecast-shadow:3002" if side is Side.SERVER_MIRROR else "forecast:3002"
    forwarded = "10.0.0.9" if side is Side.SERVER_MIRROR else "-"
    flags = line.where or "-"
    text = (
        f'[{begin}Z] "GET /weather HTTP/1.1" {line.code} {flags} - - "-" 0 '
        f'{chance.randrange(10**9)} {lasts} - "{forwarded}" "curl/8" "{request_id}" '
        f'"{authority}" "-" {cluster} - 10.0.0.2:3002 10.0.0.3:4321 - default'
    )
    return Written(PODS[side], text)
