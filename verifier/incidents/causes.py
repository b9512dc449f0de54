"""The likely cause of an incident, from what its findings have in common and others have not. Pure.

A cause is named only where it stands out: most findings share it, and most other requests of the
same minutes do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from collector.words import first_of
from verifier.pairing.percentage import CHECK_ERROR, judge_percentage

LARGE_BYTES: Final = 1 << 20
"""Envoy's default buffer limit of a connection. Bodies above it are not mirrored where the proxy
buffers them first. Source: Envoy before 1.33, `per_connection_buffer_limit_bytes`; istio #58870."""
MOST: Final = 0.8
"""Share of the findings that must have something in common."""
FEW: Final = 0.5
"""Others may have it in at most this part of that share."""
ENOUGH: Final = 5
"""Fewer findings, or fewer others, have nothing in common but chance."""


class CauseCode(StrEnum):
    """What stands out."""

    POLICY_CHANGE = "policy_change"
    UNKNOWN_POD = "unknown_pod"
    MIRROR_GONE = "mirror_gone"
    MIRROR_POD_GONE = "mirror_pod_gone"
    LARGE_BODIES = "large_bodies"
    SENDER = "sender"
    PRIMARY_POD = "primary_pod"
    MIRROR_POD = "mirror_pod"
    PATH = "path"
    METHOD = "method"
    NONE = "none"


class Cause(msgspec.Struct, frozen=True):
    """What stands out, and how to say it; empty where nothing does."""

    code: CauseCode = CauseCode.NONE
    text: str = ""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One finding, or one other request of the same time. Empty: no line tells.

    Attributes:
        sender: The pod that sent it.
        primary: The pod that served it.
        mirror: The pod that got the copy.
        path: Without its query.
        method: Of the request.
        size_bytes: Of the request's body; None: no line tells.
    """

    sender: str = ""
    primary: str = ""
    mirror: str = ""
    path: str = ""
    method: str = ""
    size_bytes: int | None = None


class Copied(NamedTuple):
    """How many requests of a sender were copied."""

    copied: int
    requests: int


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """All that a cause is looked for in. Times in µs of event time.

    Attributes:
        found: The findings.
        others: Requests of the same time, whatever became of them.
        before: How many lines each pod of the mirror logged just before it began.
        since: The same, just now.
        first_us: When it began.
        changed_us: When the policy last changed before that; None: never.
        version: Which version came into force then.
        slack_us: How far apart beginning and change may be.
        unknown: The pods whose version nothing tells, those with most findings first.
        senders: What was copied of whose requests; of a wrong percentage only.
        declared: The percentage that the policy declares.
    """

    found: Sequence[Fact] = ()
    others: Sequence[Fact] = ()
    before: dict[str, int] = {}
    since: dict[str, int] = {}
    first_us: int = 0
    changed_us: int | None = None
    version: int = 0
    slack_us: int = 60_000_000
    unknown: Sequence[str] = ()
    senders: Mapping[str, Copied] = {}
    declared: float = 100.0


def likely_cause(scene: Scene) -> Cause:
    """What stands out most; what names a pod for certain comes first, then a changed policy."""
    for find in (
        _unknown_pod,
        _stale_sender,
        _policy_change,
        _mirror_gone,
        _large_bodies,
        _one_of_many,
    ):
        cause = find(scene)
        if cause is not None:
            return cause
    return Cause()


def _unknown_pod(scene: Scene) -> Cause | None:
    if not scene.unknown:
        return None
    text = f"no label, name or TLS server name tells the version of {_named(scene.unknown)}"
    return Cause(CauseCode.UNKNOWN_POD, text)


def _stale_sender(scene: Scene) -> Cause | None:
    """A sender whose share is wrong while that of all others together is right."""
    copied = sum(one.copied for one in scene.senders.values())
    requests = sum(one.requests for one in scene.senders.values())
    best: tuple[float, Cause] | None = None
    for sender, own in scene.senders.items():
        rest = Copied(copied - own.copied, requests - own.requests)
        # Of many senders some are unlikely by chance.
        if _fits(own, scene.declared, CHECK_ERROR / len(scene.senders)) or rest.requests < ENOUGH:
            continue
        if not _fits(rest, scene.declared, CHECK_ERROR):
            continue
        share, others = own.copied / own.requests, rest.copied / rest.requests
        text = f"{share:.1%} of the requests of {sender} were copied, of all others' {others:.1%}"
        if best is None or abs(share - others) > best[0]:
            best = abs(share - others), Cause(CauseCode.SENDER, text)
    return None if best is None else best[1]


def _fits(found: Copied, declared: float, error: float) -> bool:
    return judge_percentage(found.copied, found.requests, declared, error).consistent


def _policy_change(scene: Scene) -> Cause | None:
    changed_us = scene.changed_us
    if changed_us is None or abs(scene.first_us - changed_us) > scene.slack_us:
        return None
    text = f"it began when version {scene.version} of the policy came into force"
    return Cause(CauseCode.POLICY_CHANGE, text)


def _mirror_gone(scene: Scene) -> Cause | None:
    """Pods of the mirror that logged before and log nothing now."""
    gone = sorted(pod for pod, n in scene.before.items() if n >= ENOUGH and pod not in scene.since)
    if not gone or len(scene.found) < ENOUGH:
        return None
    if not scene.since:
        text = "no pod of the mirror logs anything since: it was stopped, or its logs do not arrive"
        return Cause(CauseCode.MIRROR_GONE, text)
    text = (
        f"{_named(gone)} of the mirror logs nothing since, others do: it was stopped, or its log "
        "does not arrive"
    )
    return Cause(CauseCode.MIRROR_POD_GONE, text)


def _named(pods: Sequence[str]) -> str:
    return f"pod {first_of(pods, 1)}"


def _large_bodies(scene: Scene) -> Cause | None:
    found = [one.size_bytes > LARGE_BYTES for one in scene.found if one.size_bytes is not None]
    others = [one.size_bytes > LARGE_BYTES for one in scene.others if one.size_bytes is not None]
    if len(found) < ENOUGH or len(others) < ENOUGH:
        return None
    share, usual = sum(found) / len(found), sum(others) / len(others)
    if share < MOST or usual > share * FEW:
        return None
    text = f"{share:.0%} have bodies above 1 MiB, of all requests {usual:.0%} have"
    return Cause(CauseCode.LARGE_BODIES, text)


_FIELDS: Final = (
    (CauseCode.SENDER, "sender", "were sent by {}"),
    (CauseCode.MIRROR_POD, "mirror", "are of the mirror's pod {}"),
    (CauseCode.PRIMARY_POD, "primary", "were served by the primary's pod {}"),
    (CauseCode.PATH, "path", "have the path {}"),
    (CauseCode.METHOD, "method", "have the method {}"),
)


def _one_of_many(scene: Scene) -> Cause | None:
    """One sender, pod, path or method that most findings share: the rarest among others."""
    best: tuple[float, Cause] | None = None
    for code, field, words in _FIELDS:
        found = Counter(value for one in scene.found if (value := getattr(one, field)))
        others = Counter(value for one in scene.others if (value := getattr(one, field)))
        if found.total() < ENOUGH or others.total() < ENOUGH:
            continue
        value, count = found.most_common(1)[0]
        share, usual = count / found.total(), others[value] / others.total()
        if share < MOST or usual > share * FEW or (best is not None and usual >= best[0]):
            continue
        text = f"{share:.0%} {words.format(value)}, of all requests {usual:.0%}"
        best = (usual, Cause(code, text))
    return None if best is None else best[1]
