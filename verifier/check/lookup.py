"""Finds all lines of one request id in files, and what is known of the files around them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from collector.envelopes.found import RawLine
from collector.envelopes.unwrap import unwrap
from collector.formats.own_pod import writer_of
from collector.formats.parse import Format
from collector.observation import observe
from collector.records import AccessLog, Identity
from verifier.check.evidence import Part, PolicyEvidence, weigh
from verifier.check.kinds import Stretch
from verifier.check.pieces import may_be_whole, whole_line
from verifier.check.plan import Plan
from verifier.check.sources import Source, chunks, open_sources, read_chunk
from verifier.explain import Found, Story, explain, same_id, show_line
from verifier.pairing.lines import Line, Side
from verifier.policies.model import Policy

_SERVER_NAME: Final = b"outbound_."
"""How the TLS server name begins with which a proxy of the mesh was called."""
_CLUSTERS: Final = ((b"outbound|", Side.CLIENT_LIVE), (b"inbound|", Side.SERVER_OTHER))


class _Seen(msgspec.Struct):
    """What the files hold besides the lines of the id."""

    pods: dict[Identity, Stretch | None] = {}
    parts: dict[Identity, set[Part]] = {}
    shipped: bool = False
    tls: bool = False
    numbers: dict[str, int] = {}


def _pattern(request_id: str) -> re.Pattern[bytes]:
    """What a raw line of the id contains, whatever its trace reason and JSON escapes."""
    if len(request_id) == 36 and request_id[8:24:5] == "----":
        # Of an id at the end of a piece of a line, one of the halves is whole.
        halves = request_id[:14], request_id[15:]
        return re.compile(b"|".join(re.escape(half.encode()) for half in halves))
    return re.compile(re.escape(request_id.encode()))


def explain_files(
    policies: tuple[Policy, ...],
    logs: Iterable[str],
    request_id: str,
    *,
    assume_complete: bool = True,
    formats: Sequence[Format] = (),
) -> list[Story]:
    """The episodes of a request id in files, each with its verdict and why.

    Args:
        policies: At least one.
        logs: `FILE`, `-` or `POD=FILE`.
        request_id: As logged; another trace reason is the same id.
        assume_complete: A named log is complete.
        formats: Of access logs, besides the known ones.

    Raises:
        InputError: a log cannot be read.
        UsageError: too many policies, or a log named twice.
    """
    plan = Plan(policies, formats)
    seen = _Seen()
    with tempfile.TemporaryDirectory(prefix="mirrorproof-") as folder:
        sources = open_sources(logs, Path(folder))
        found = list(_find(plan, sources, request_id, seen))
    evidence = {
        policy.name: _evidence(plan, number, seen, assume_complete=assume_complete)
        for number, policy in enumerate(policies)
    }
    return explain(
        found,
        lambda policy, start, _episode: evidence[policy.name].terms_at(start),
        lambda policy, mirror, start: evidence[policy.name].hole(mirror, start),
    )


def _evidence(plan: Plan, number: int, seen: _Seen, *, assume_complete: bool) -> PolicyEvidence:
    return weigh(
        plan,
        number,
        seen.pods,
        seen.parts,
        assume_complete=assume_complete,
        shipped=seen.shipped,
        tls=seen.tls,
    )


def _find(plan: Plan, sources: tuple[Source, ...], request_id: str, seen: _Seen) -> Iterator[Found]:
    """All lines of the id, in the order of the files."""
    wanted = _pattern(request_id).search
    for source in sources:
        if source.pod:
            seen.pods.setdefault(Identity(pod=source.pod), None)
    number = 0
    for chunk in chunks(sources):
        source = sources[chunk.source]
        number = 0 if chunk.start == 0 else number
        lines = read_chunk(source, chunk)
        joined: list[RawLine] = []
        for index, line in enumerate(lines):
            number += 1
            for cluster, side in _CLUSTERS:
                if cluster in line:
                    parts = seen.parts.setdefault(Identity(pod=source.pod), set())
                    parts.update((p, int(side), 0) for p in range(len(plan.policies)))
            seen.tls |= _SERVER_NAME in line
            if wanted(line):
                whole = _whole(plan, source, lines, index, joined)
                yield from _read(plan, source, whole, number, request_id, seen)


def _whole(
    plan: Plan, source: Source, lines: list[bytes], index: int, joined: list[RawLine]
) -> list[RawLine]:
    """The lines within one line of a file, or the one of which it holds a piece, told once."""
    who = Identity(pod=source.pod)
    whole = []
    for one in unwrap(lines[index], who):
        if may_be_whole(one) and isinstance(plan.lines.parse(one.text.rstrip("\r")), AccessLog):
            whole.append(RawLine(one.text, one.identity, one.time, one.stream))
        elif (line := whole_line(lines, index, plan.lines.parse, who)) and line not in joined:
            joined.append(line)
            whole.append(line)
    return whole


def _read(
    plan: Plan, source: Source, lines: list[RawLine], number: int, request_id: str, seen: _Seen
) -> Iterator[Found]:
    """The lines of the id among those of one line of a file."""
    for piece in lines:
        seen.shipped |= piece.identity.pod != source.pod
        log = plan.lines.parse(piece.text.rstrip("\r"))
        if not isinstance(log, AccessLog) or not same_id(request_id, log.request_id):
            continue
        who = writer_of(log, piece.identity)
        observation = observe(log, piece.text, who, plan.hosts, b"", own_host=plan.own_host(who))
        place = plan.place(observation) if observation is not None else None
        if observation is None or place is None:
            continue
        pod = who.pod
        seen.pods.setdefault(who, None)
        seen.parts.setdefault(who, set()).add((place[2], place[0], place[1]))
        told = Line(
            place[0],
            place[1],
            log.start_us,
            log.end_us,
            log.code,
            observation.traits,
            log.attempt,
            seen.numbers.setdefault(pod, len(seen.numbers)),
            observation.line_id,
        )
        shown = show_line(told, pod, log, f"{source.name}:{number}")
        policy = plan.policies[place.policy]
        yield Found(
            observation.key, policy, told, log.method, log.path, shown, unknown=bool(place.unknown)
        )
