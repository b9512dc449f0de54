"""Istio's default text access log, 1.9 and later: one line to its fields, or a reason.

Envoy does not escape quotes in header values (envoyproxy/envoy#4191), so that a client can write
what looks like further fields into its user agent, X-Forwarded-For or request id. The head of a
line is therefore read from the left and the tail from the right, both of Envoy's own making
(Envoy answers a quote in the authority with 400, and a raw space in the path too). What is left
in the middle must be exactly three quoted fields; if it can be split in another way, the line is
ambiguous.
"""

from __future__ import annotations

import re
from typing import Final

from collector.formats.timestamps import known_part, known_second, parse_head, parse_time
from collector.records import AccessLog

# A lone `-` is left out of its group, so that "nothing logged" comes out empty.
# [START_TIME] "METHOD PATH PROTOCOL" CODE FLAGS DETAILS TERMINATION "TRANSPORT" RECEIVED SENT
# DURATION SERVICE_TIME
_HEAD: Final = (
    # A quote before the details would be the mixer status of Istio 1.7 and before.
    r'\[([^\] ]+)\] "([^" ]+) (\S+) [^" ]+" (\d{1,9}) (?:-|(\S+)) (?:-|([^\s"]\S*)) \S+ "[^"]*" '
    r"(?:-|(\d{1,18})) (?:-|(\d{1,18})) (?:-|(\d{1,12})) \S+ "
)
# "FORWARDED_FOR" "USER_AGENT" "REQUEST_ID"
_MIDDLE: Final = r'"(?:-|([^"]*))" "(?:-|([^"]*))" "(?:-|([^"]*))" '
# Without quotes in the bare fields, so that a line cut off does not fit one field further left.
# "AUTHORITY" "UPSTREAM_HOST" CLUSTER UPSTREAM_LOCAL DOWNSTREAM_LOCAL DOWNSTREAM_REMOTE SNI ROUTE
_TAIL: Final = r'"(?:-|([^"]*))" "(?:-|([^"]*))" ' + " ".join([r'(?:-|([^\s"]+))'] * 6)

_match_line: Final = re.compile(_HEAD + _MIDDLE + _TAIL).fullmatch
_match_head: Final = re.compile(_HEAD).match
_match_tail: Final = re.compile(_TAIL).fullmatch
_looks_like_one: Final = re.compile(r'\[[^\]]{8,64}\] "[^"]*').match
_TAIL_FIELDS: Final = 8


def _access_log(fields: tuple[str, ...], *, ambiguous: bool) -> AccessLog:
    """The record of one line's fields, in the order of the format. Raises ValueError."""
    (start, method, path, code, flags, details, received, sent, duration,
     forwarded, agent, request_id, authority, upstream, cluster, upstream_local,
     downstream_local, downstream_remote, server_name, route) = fields  # fmt: skip
    return AccessLog(
        parse_time(start),
        int(duration or 0),
        "" if method == "-" else method,
        "" if path == "-" else path,
        int(code),
        flags,
        details,
        int(received or 0),
        int(sent or 0),
        forwarded,
        agent,
        request_id,
        authority,
        upstream,
        cluster,
        upstream_local,
        downstream_local,
        downstream_remote,
        server_name,
        route,
        ambiguous=ambiguous,
    )


def parse_text(line: str) -> AccessLog | None:
    """Reads a line of Istio's default text format.

    Args:
        line: One line without its newline.

    Returns:
        The fields; with `ambiguous` set when they can be split in more than one way, in which
        case the user agent is empty and the other client-made fields are only a guess. None when
        the line has not this format.
    """
    parts = line.split('"')
    try:
        if len(parts) == _QUOTE_PARTS:
            return _parse_plain(parts)
        match = _match_line(line)
        if match is not None:
            return _access_log(match.groups(""), ambiguous=False)
        return _parse_ambiguous(line)
    except ValueError:
        return None


def _parse_plain(parts: list[str]) -> AccessLog:
    """Reads a line without any quote in its fields, which can be read in one way only.

    This is what nearly all lines are, so it avoids the regular expressions, which accept the same
    and take twice as long. Raises ValueError.

    Args:
        parts: The line split at its quotes.
    """
    (head, request, status, _transport, sizes, forwarded, gap, agent, gap2, request_id, gap3,
     authority, gap4, upstream, tail) = parts  # fmt: skip
    method, path, protocol = request.split(" ")
    if not (gap == gap2 == gap3 == gap4 == " " and method and path and protocol):
        raise ValueError(request)
    code, flags, details = _statuses.get(status) or _read_status(status)
    received, sent, duration = _sizes.get(sizes) or read_sizes(sizes)
    cluster, upstream_local, downstream_local, downstream_remote, name, route = _tails.get(
        tail
    ) or _read_tail(tail)
    whole, part = known_second(head[1:20]), known_part(head[20:])
    return AccessLog(
        whole + part if whole and part is not None and head[0] == "[" else parse_head(head),
        duration,
        "" if method == "-" else method,
        "" if path == "-" else path,
        code,
        flags,
        details,
        received,
        sent,
        "" if forwarded == "-" else forwarded,
        "" if agent == "-" else agent,
        "" if request_id == "-" else request_id,
        "" if authority == "-" else authority,
        "" if upstream == "-" else upstream,
        cluster,
        upstream_local,
        downstream_local,
        downstream_remote,
        name,
        route,
    )


_QUOTE_PARTS: Final = 15
_CACHE_LIMIT: Final = 20_000
_TAILS_LIMIT: Final = 10_000
_LONGEST_CACHED: Final = 200  # a forged line may hold anything, and must not fill memory
_LONGEST_TAIL: Final = 400
_statuses: dict[str, tuple[int, str, str]] = {}
_sizes: dict[str, tuple[int, int, int]] = {}
_tails: dict[str, tuple[str, ...]] = {}
_match_status: Final = re.compile(r" (\d{1,9}) (?:-|(\S+)) (?:-|(\S+)) \S+ ").fullmatch
_match_sizes: Final = re.compile(
    r" (?:-|(\d{1,18})) (?:-|(\d{1,18})) (?:-|(\d{1,12})) \S+ "
).fullmatch


def _read_status(text: str) -> tuple[int, str, str]:
    """Code, flags and details; few differ, so they are kept. Raises ValueError."""
    match = _match_status(text)
    if match is None:
        raise ValueError(text)
    code, flags, details = match.groups("")
    found = (int(code), flags, details)
    if len(text) <= _LONGEST_CACHED:
        if len(_statuses) >= _CACHE_LIMIT:
            _statuses.clear()
        _statuses[text] = found
    return found


def read_sizes(text: str) -> tuple[int, int, int]:
    """Bytes received, bytes sent and duration in ms of a line; they recur, so they are kept.

    Args:
        text: What stands between the fourth and the fifth quote, ` 0 100 3 3 `.

    Raises:
        ValueError: it is no such text.
    """
    found = _sizes.get(text)
    if found is not None:
        return found
    match = _match_sizes(text)
    if match is None:
        raise ValueError(text)
    received, sent, duration = match.groups("")
    found = (int(received or 0), int(sent or 0), int(duration or 0))
    if len(text) <= _LONGEST_CACHED:
        if len(_sizes) >= _CACHE_LIMIT:
            _sizes.clear()
        _sizes[text] = found
    return found


def _read_tail(text: str) -> tuple[str, ...]:
    """Cluster to route name, the same for all lines of a connection. Raises ValueError."""
    empty, cluster, upstream_local, downstream_local, downstream_remote, name, route = text.split(
        " "
    )
    if empty or not (
        cluster and upstream_local and downstream_local and downstream_remote and name
    ):
        raise ValueError(text)
    found = (
        "" if cluster == "-" else cluster,
        "" if upstream_local == "-" else upstream_local,
        "" if downstream_local == "-" else downstream_local,
        "" if downstream_remote == "-" else downstream_remote,
        "" if name == "-" else name,
        "" if route == "-" else route,
    )
    if len(text) <= _LONGEST_TAIL:
        if len(_tails) >= _TAILS_LIMIT:
            _tails.clear()
        _tails[text] = found
    return found


def looks_like_text(line: str) -> bool:
    """Whether a line begins as the text format does, so that failing to read it is a defect."""
    return _looks_like_one(line) is not None


def _parse_ambiguous(line: str) -> AccessLog | None:
    """Reads a line whose quoted middle has extra quotes: head and tail are sure, the rest is not.

    The request id is taken as the last quoted text before the authority, so that the lines of one
    ambiguous request can be counted together.
    """
    head = _match_head(line)
    if head is None:
        return None
    rest = line[head.end() :]
    middle, tail = _split_tail(rest)
    match = _match_tail(tail)
    if match is None or not middle.startswith('"'):
        return None
    request_id = middle.rstrip(' "').rpartition('"')[2]
    guessed = ("", "", "" if request_id == "-" else request_id)
    return _access_log(head.groups("") + guessed + match.groups(""), ambiguous=True)


def _split_tail(rest: str) -> tuple[str, str]:
    """Splits the part behind the head into the middle and the tail of eight tokens."""
    parts = rest.rsplit(" ", _TAIL_FIELDS)
    if len(parts) <= _TAIL_FIELDS:
        return "", rest
    return parts[0], " ".join(parts[1:])
