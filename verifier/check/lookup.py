"""Finds all lines of one request id in files, and what is known of the files around them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from collector.envelopes.found import RawLine
from collector.envelopes.unwrap import unwrap
from collector.formats.own_pod import writer_of
from collector.formats.parse import Format
from collector.keys import mask_request_id
from collector.observation import observe
from collector.records import AccessLog, Identity
from verifier.check.evidence import Part, PolicyEvidence, weigh
from verifier.check.kinds import Stretch
from verifier.check.pieces import may_be_whole, whole_line
from verifier.check.plan import Plan
from verifier.check.sources import Source, chunks, open_sources, read_chunk
from verifier.explain import Found, Story, explain, show_line
from verifier.pairing.lines import Line, Side
from verifier.policies.model import Policy
from verifier.policies.told import ToldLabels

_SERVER_NAME: Final = b"outbound_."
"""How the TLS server name begins with which a proxy of the mesh was called."""
_LABELLED: Final = 1_000
"""So many lines tell the labels of a pod; where a name is used again, later ones may differ."""
_CLUSTERS: Final = ((b"outbound|", Side.CLIENT_LIVE), (b"inbound|", Side.SERVER_OTHER))


class _Seen(msgspec.Struct):
    """What the files hold besides the lines of the id."""

    pods: dict[Identity, Stretch | None] = {}
    parts: dict[Identity, set[Part]] = {}
    shipped: bool = False
    tls: bool = False
    numbers: dict[str, int] = {}


class _Match(NamedTuple):
    """A line that may be of an id, and where it is."""

    source: Source
    line: RawLine
    number: int

    @property
    def is_bare(self) -> bool:
        """Whether a shipper's record names its pod, and no labels."""
        pod = self.line.identity
        return bool(pod.pod) and not pod.labels and pod != Identity(pod=self.source.pod)


def _pattern(request_ids: Iterable[str]) -> re.Pattern[bytes]:
    """What a raw line of the ids contains, whatever their trace reasons and JSON escapes."""
    parts = []
    for one in request_ids:
        is_usual = len(one) == 36 and one[8:24:5] == "----"
        # Of an id at the end of a piece of a line, one of the halves is whole.
        parts += [one[:14], one[15:]] if is_usual else [one]
    return re.compile(b"|".join(re.escape(part.encode()) for part in parts))


def explain_files(
    policies: tuple[Policy, ...],
    logs: Iterable[str],
    request_id: str,
    *,
    assume_complete: bool = True,
    formats: Sequence[Format] = (),
) -> list[Story]:
    """The episodes of a request id in files; see `explain_list`, which has one id more."""
    return explain_list(
        policies, logs, [request_id], assume_complete=assume_complete, formats=formats
    )[0]


def explain_list(
    policies: tuple[Policy, ...],
    logs: Iterable[str],
    request_ids: Sequence[str],
    *,
    assume_complete: bool = True,
    formats: Sequence[Format] = (),
) -> list[list[Story]]:
    """The episodes of each request id in files, each with its verdict and why.

    Args:
        policies: At least one.
        logs: `FILE`, `-` or `POD=FILE`; all are read once, or twice for the labels of pods.
        request_ids: As logged; another trace reason is the same id.
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
        found: dict[str, list[Found]] = {mask_request_id(one): [] for one in request_ids}
        matches = _find(plan, sources, found, seen)
        told = _told(sources, matches)
    for match in matches:
        _read(plan, match, told, found, seen)
    evidence = {
        policy.name: _evidence(plan, number, seen, assume_complete=assume_complete)
        for number, policy in enumerate(policies)
    }
    return [
        explain(
            found[mask_request_id(one)],
            lambda policy, start, _episode: evidence[policy.name].terms_at(start),
            lambda policy, mirror, start: evidence[policy.name].hole(mirror, start),
        )
        for one in request_ids
    ]


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


def _find(plan: Plan, sources: tuple[Source, ...], ids: Iterable[str], seen: _Seen) -> list[_Match]:
    """All lines that may be of the ids, which are masked here, in the order of the files."""
    matches: list[_Match] = []
    wanted = _pattern(ids).search
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
                matches += [_Match(source, one, number) for one in whole]
    return matches


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


def _told(sources: tuple[Source, ...], matches: Iterable[_Match]) -> ToldLabels:
    """The labels of pods whose lines among these have none, as other lines tell them.

    The files are read again only where there are such pods in shippers' records.
    """
    found, bare = ToldLabels(), [one.line.identity for one in matches if one.is_bare]
    left = dict.fromkeys((pod.pod for pod in bare), _LABELLED)
    if not left:
        return found
    names = re.compile(b"|".join(re.escape(name.encode()) for name in left)).search
    for chunk in chunks(sources):
        source = sources[chunk.source]
        for line in read_chunk(source, chunk):
            # However a shipper writes labels, and asked first, as most lines have some or none.
            if b"abel" not in line or not names(line):
                continue
            for one in unwrap(line, Identity(pod=source.pod)):
                if isinstance(one, RawLine) and one.identity.labels and left.get(one.identity.pod):
                    left[one.identity.pod] -= 1
                    found.note(one.identity)
        if not any(left.values()):
            break
    return found


def _read(
    plan: Plan, match: _Match, labels: ToldLabels, found: dict[str, list[Found]], seen: _Seen
) -> None:
    """Adds a line to those of its id, if it is of one of them and a policy concerns it."""
    source, piece, number = match
    seen.shipped |= piece.identity.pod != source.pod
    log = plan.lines.parse(piece.text.rstrip("\r"))
    if not isinstance(log, AccessLog) or mask_request_id(log.request_id) not in found:
        return
    who = labels.completed(writer_of(log, piece.identity))
    observation = observe(log, piece.text, who, plan.hosts, b"", own_host=plan.own_host(who))
    place = plan.place(observation) if observation is not None else None
    if observation is None or place is None:
        return
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
    found[mask_request_id(log.request_id)].append(
        Found(
            observation.key, policy, told, log.method, log.path, shown,
            unknown=bool(place.unknown),
        )
    )  # fmt: skip
