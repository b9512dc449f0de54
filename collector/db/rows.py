"""Observations as rows: the columns' order, and values that both databases accept alike."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from collector.batch import Seen
from collector.keys import KEY_BYTES
from collector.observation import Destination, Observation
from collector.records import Identity
from collector.redact import MAX_TEXT, Redactor, scrub

COLUMNS: Final = (
    "ingested_us",
    "batch_id",
    "record_offset",
    "line_id",
    "start_us",
    "end_us",
    "bytes_received",
    "bytes_sent",
    "item",
    "pod_id",
    "host_id",
    "traits",
    "code",
    "role",
    "attempt",
    "destination_id",
    "method",
    "flags",
    "details",
    "authority",
    "route",
    "key",
    "request_id",
    "path",
    "forwarded_for",
    "user_agent",
)
"""The columns of `observation` in the order of `Row`; `Packer` knows their types."""

Row = tuple[Any, ...]
Head = tuple[int, int]
"""When rows were ingested (µs since the epoch), and the id of their batch."""
_SMALL: Final = 2**15 - 1


@lru_cache(maxsize=8192)
def _cut(text: str) -> str:
    return scrub(text)


def _short(text: str) -> str:
    """A field with few values; no more of it is looked at than decides what is stored."""
    return _cut(text[: MAX_TEXT + 1])


class Ids:
    """Numbers of pods, hosts and destinations; see `collector.db.dimensions`.

    Attributes:
        pods, hosts, destinations: By what they stand for.
        edition: Counts how often all were forgotten: others may be true since.
    """

    __slots__ = ("destinations", "edition", "hosts", "pods")

    def __init__(self) -> None:
        self.edition = 0
        self.pods: dict[Identity, int] = {}
        self.hosts: dict[str, int] = {}
        self.destinations: dict[Destination, int] = {}

    def forget(self) -> None:
        """Forgets them all."""
        self.edition += 1
        for known in (self.pods, self.hosts, self.destinations):
            known.clear()


def row_of(head: Head, found: Seen, ids: Ids, paths: Redactor) -> Row:
    """One observation as a row.

    Args:
        head: Of its batch.
        found: What is stored.
        ids: Numbers of its dimensions, all of them known.
        paths: Hides what people must not see.
    """
    seen = found.observation
    log, to = seen.log, seen.destination
    return (
        *head,
        found.offset,
        seen.line_id,
        log.start_us,
        log.end_us,
        log.bytes_received,
        log.bytes_sent,
        found.item,
        ids.pods[seen.pod],
        ids.hosts[seen.host],
        seen.traits,
        min(log.code, _SMALL),
        seen.role,
        min(log.attempt, _SMALL),
        None if to is None else ids.destinations[to],
        _short(log.method),
        _short(log.flags),
        _short(log.details),
        _short(paths.authority(log.authority)),
        _short(log.route),
        seen.key,
        scrub(log.request_id),
        paths.redact(log.path),
        paths.forwarded_for(log.forwarded_for),
        paths.user_agent(log.user_agent),
    )


# --- PostgreSQL's binary COPY format (its documentation, chapter COPY): every field is its length
# --- as int4 and its bytes, a null has the length -1.
COPY_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
COPY_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_HEAD: Final = Struct("!h iq iq").pack
_LINE: Final = Struct("!iq iq iq iq iq iq ii").pack
_KIND: Final = Struct("!ii ii ii ih ih ih").pack
_INT: Final = Struct("!ii").pack
_LENGTH: Final = Struct("!i").pack
_LENGTHS: Final = tuple(_LENGTH(number) for number in range(64))
_KINDS_LIMIT: Final = 8_192
_LONGEST_KIND: Final = 1_000
_LONGEST_PATH: Final = 500
"""Characters of what is kept: clients choose these texts, and must not fill memory."""


class Packer:
    """Rows in PostgreSQL's binary COPY format, several times faster than row by row.

    Args:
        ids: Numbers of the dimensions.
        paths: Hides what people must not see.
    """

    def __init__(self, ids: Ids, paths: Redactor) -> None:
        self._ids = ids
        self._paths = paths
        self._kinds: dict[tuple[object, ...], bytes] = {}
        self._edition = ids.edition
        self._path = lru_cache(maxsize=8192)(lambda path: _field(paths.redact(path)))
        self._sender = lru_cache(maxsize=8192)(lambda text: _nullable(paths.forwarded_for(text)))
        self._agent = lru_cache(maxsize=8192)(lambda text: _nullable(paths.user_agent(text)))

    def pack(self, head: Head, found: Iterable[Seen]) -> bytes:
        """Rows of one batch, between `COPY_BEGIN` and `COPY_END`; all their dimensions are known.

        What many rows share, from pod to route, is packed once and found by its values.
        """
        if self._edition != self._ids.edition:
            self._kinds.clear()
            self._edition = self._ids.edition
        begin = _HEAD(len(COLUMNS), 8, head[0], 8, head[1])
        key_length, kinds = _LENGTH(KEY_BYTES), self._kinds
        path_of, redact = self._path, self._paths.redact
        sender_of, agent_of, drops_agents = self._sender, self._agent, self._paths.drops_agents
        parts: list[bytes] = []
        for one in found:
            seen = one.observation
            log = seen.log
            start_us, path, sender = log.start_us, log.path, log.forwarded_for
            kind = (
                seen.pod, seen.host, seen.traits, log.code, seen.role, log.attempt,
                seen.destination, log.method, log.flags, log.details, log.authority, log.route,
            )  # fmt: skip
            parts += (
                begin,
                _LINE(
                    8, one.offset, 8, seen.line_id, 8, start_us,
                    8, start_us + log.duration_ms * 1000,
                    8, log.bytes_received, 8, log.bytes_sent, 4, one.item,
                ),
                kinds.get(kind) or self._pack_kind(kind, seen),
                key_length,
                seen.key,
                _field(scrub(log.request_id)),
                path_of(path) if len(path) <= _LONGEST_PATH else _field(redact(path)),
                # No more than decides what is stored: the cache must stay small.
                _NULL if sender is None else sender_of(sender[: MAX_TEXT + 1]),
                _NULL if drops_agents else agent_of(log.user_agent[: MAX_TEXT + 1]),
            )  # fmt: skip
        return b"".join(parts)

    def _pack_kind(self, kind: tuple[object, ...], seen: Observation) -> bytes:
        log, to, ids = seen.log, seen.destination, self._ids
        authority = self._paths.authority(log.authority)
        texts = (log.method, log.flags, log.details, authority, log.route)
        packed = b"".join(
            (
                _KIND(
                    4, ids.pods[seen.pod], 4, ids.hosts[seen.host], 4, seen.traits,
                    2, min(log.code, _SMALL), 2, seen.role, 2, min(log.attempt, _SMALL),
                ),
                _NULL if to is None else _INT(4, ids.destinations[to]),
                *(_field(scrub(text)) for text in texts),
            )
        )  # fmt: skip
        if sum(map(len, texts)) <= _LONGEST_KIND:
            if len(self._kinds) >= _KINDS_LIMIT:
                self._kinds.clear()
            self._kinds[kind] = packed
        return packed


def _nullable(text: str | None) -> bytes:
    return _NULL if text is None else _field(text)


def _field(text: str) -> bytes:
    encoded = text.encode()
    length = len(encoded)
    return (_LENGTHS[length] if length < len(_LENGTHS) else _LENGTH(length)) + encoded
