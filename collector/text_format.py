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

from collector.records import AccessLog
from collector.timestamps import parse_time

# [START_TIME] "METHOD PATH PROTOCOL" CODE FLAGS DETAILS TERMINATION "TRANSPORT" RECEIVED SENT
# DURATION SERVICE_TIME
_HEAD: Final = (
    r'\[([^\] ]+)\] "([^" ]+) (\S+) [^" ]+" (\d{1,9}) (\S+) (\S+) \S+ "[^"]*" '
    r"(\d{1,18}|-) (\d{1,18}|-) (\d{1,12}|-) \S+ "
)
# "FORWARDED_FOR" "USER_AGENT" "REQUEST_ID"
_MIDDLE: Final = r'"([^"]*)" "([^"]*)" "([^"]*)" '
# "AUTHORITY" "UPSTREAM_HOST" CLUSTER UPSTREAM_LOCAL DOWNSTREAM_LOCAL DOWNSTREAM_REMOTE SNI ROUTE
_TAIL: Final = r'"([^"]*)" "([^"]*)" (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)'

_match_line: Final = re.compile(_HEAD + _MIDDLE + _TAIL).fullmatch
_match_head: Final = re.compile(_HEAD).match
_match_tail: Final = re.compile(_TAIL).fullmatch
_looks_like_one: Final = re.compile(r'\[[^\]]{8,64}\] "[^"]*').match
_TAIL_FIELDS: Final = 8


def _access_log(fields: tuple[str, ...], *, ambiguous: bool) -> AccessLog:
    """The record of one line's fields, in the order of the format. Raises ValueError."""
    # One flat call: this runs for every line, and the field list is the format.
    (start, method, path, code, flags, details, received, sent, duration,
     forwarded, agent, request_id, authority, upstream, cluster, upstream_local,
     downstream_local, downstream_remote, server_name, route) = fields  # fmt: skip
    return AccessLog(
        parse_time(start),
        0 if duration == "-" else int(duration),
        method,
        path,
        int(code),
        "" if flags == "-" else flags,
        "" if details == "-" else details,
        0 if received == "-" else int(received),
        0 if sent == "-" else int(sent),
        "" if forwarded == "-" else forwarded,
        "" if agent == "-" else agent,
        "" if request_id == "-" else request_id,
        "" if authority == "-" else authority,
        "" if upstream == "-" else upstream,
        "" if cluster == "-" else cluster,
        "" if upstream_local == "-" else upstream_local,
        "" if downstream_local == "-" else downstream_local,
        "" if downstream_remote == "-" else downstream_remote,
        "" if server_name == "-" else server_name,
        "" if route == "-" else route,
        0,
        "",
        ambiguous,
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
    match = _match_line(line)
    try:
        if match is not None:
            return _access_log(match.groups(), ambiguous=False)
        return _parse_ambiguous(line)
    except ValueError:
        return None


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
    guessed = ("-", "-", request_id or "-")
    return _access_log(head.groups() + guessed + match.groups(), ambiguous=True)


def _split_tail(rest: str) -> tuple[str, str]:
    """Splits the part behind the head into the middle and the tail of eight tokens."""
    parts = rest.rsplit(" ", _TAIL_FIELDS)
    if len(parts) <= _TAIL_FIELDS:
        return "", rest
    return parts[0], " ".join(parts[1:])
