"""Hides what looks like a secret in bytes of which no line could be read. Pure, in linear time.

Nobody knows where a value begins or ends here, so too much is hidden rather than too little: of
something that is called like a secret, all up to the next quote or the end of the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

HIDDEN: Final = b"***"
_NAMES: Final = (
    rb"authorization|cookie|token|secret|passw|pwd|credential|session|signature|jwt"
    rb"|(?:api|access|private)[-_]?key"
)
# A name, its quote, what stands between it and the value (`:`, `=`, the length of a binary form),
# the value's quote; and the value, if it is not hidden yet, in which a backslash takes the next
# character with it.
_VALUE: Final = (
    rb"[\w-]{0,32}[\"'\\]{0,8}\s{0,4}[^\w\s\"'\\*-]{1,4}[\"'\\\s]{0,12})"
    rb"(?!\*\*\*(?:[&;\s\"]|$))(?:\\.|[^\"\\\r\n])*"
)
_named: Final = re.compile(rb"(?i)((?:" + _NAMES + rb")" + _VALUE)
_listed: Final = re.compile(
    rb"(?i)((?:" + _NAMES + rb")[\w-]{0,32}[\"'\\]{0,8}\s{0,4}[:=]\s{0,4}\[)[^\]]*"
)
_agents: Final = re.compile(rb"(?i)(user[-_]?agent" + _VALUE)
_scheme: Final = re.compile(rb"(?i)\b(bearer|basic|digest|negotiate)\s{1,4}[\w.~+/=-]+")
_token: Final = re.compile(rb"eyJ[\w-]{5,}[\w.-]*")
# User and password in front of a host, in a URL or as an authority.
_user: Final = re.compile(rb"(://|\")[^/\s\"@:]{1,256}:[^/\s\"@]{1,256}@")
_key: Final = re.compile(rb"-----BEGIN [A-Z ]{0,32}PRIVATE KEY.*", re.DOTALL)
_browser: Final = re.compile(rb"(Mozilla/)[^\"\r\n]*")
_address: Final = re.compile(rb"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
# After the `?`, also as it is encoded inside of other values, or written in JSON.
_query: Final = re.compile(rb"(\?|%3[Ff]|\\u003[fF])([^\s\"]*)")
# How `&` is written in JSON by some encoders, too.
_between: Final = re.compile(rb"(&|;|\\u0026)")


def hide_secrets(value: bytes) -> bytes:
    """The bytes without credentials, tokens and what is called like one."""
    for pattern in (_listed, _named, _user):
        value = pattern.sub(rb"\1" + HIDDEN, value)
    value = _scheme.sub(rb"\1 " + HIDDEN, value)
    for pattern in (_token, _key):
        value = pattern.sub(HIDDEN, value)
    return value


def hide_queries(value: bytes, parameter: Callable[[str], str]) -> bytes:
    """The bytes with each query parameter as `parameter` has it."""

    def hide(found: re.Match[bytes]) -> bytes:
        parts = _between.split(found[2])
        parts[::2] = [parameter(part.decode("latin-1")).encode("latin-1") for part in parts[::2]]
        return found[1] + b"".join(parts)

    return _query.sub(hide, value)


def hide_agents(value: bytes) -> bytes:
    """The bytes without what looks like a user agent."""
    return _browser.sub(rb"\1" + HIDDEN, _agents.sub(rb"\1" + HIDDEN, value))


def hide_addresses(value: bytes) -> bytes:
    """The bytes without what looks like an IPv4 address."""
    return _address.sub(HIDDEN, value)
