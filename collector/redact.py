"""What of a line people may see. Applied before anything is stored.

Keys are hashed before this (`collector.keys`): redaction never changes a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal

from collector.redact_bytes import hide_addresses, hide_agents, hide_queries, hide_secrets

HIDDEN: Final = "***"
"""Stands for a hidden value; no Envoy logs it unencoded in a query by itself."""
KEEP_ALL: Final = "*"
MAX_PATH: Final = 4_096
MAX_TEXT: Final = 512
"""Characters stored of a path, and of any other field. Attackers choose their lengths."""
Treatment = Literal["store", "hash", "drop"]
"""What becomes of a field that tells of people. Hashes of one value are equal."""

_LONGEST_CACHED: Final = 500
"""Characters: a cache of long paths would fill memory."""
_HASH_BYTES: Final = 6
_separator: Final = re.compile("([&;])")
# `/cart;jsessionid=…`, and a query that somebody encoded as a part of the path.
_in_path: Final = re.compile(r"(;[^=;/]*=|%3[Ff][^=%/]*(?:=|%3[Dd]))[^;/]*")


def scrub(text: str, limit: int = MAX_TEXT) -> str:
    """A text that both databases can hold: no NUL, no lone surrogates, bounded."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


class Redactor:
    """Hides the values of query parameters, and who sent a request.

    Args:
        keep: Names of parameters whose values stay; `*` keeps everything.
        forwarded_for: What becomes of X-Forwarded-For; hashes are of each address.
        user_agent: What becomes of User-Agent.
        secret: Key of the hashes, at most 64 bytes, shared by all replicas.
    """

    def __init__(
        self,
        keep: Iterable[str] = (),
        *,
        forwarded_for: Treatment = "store",
        user_agent: Treatment = "drop",
        secret: bytes = b"",
    ) -> None:
        self._keep = frozenset(keep)
        self._forwarded_for: Final[Treatment] = forwarded_for
        self._user_agent: Final[Treatment] = user_agent
        self._secret = secret
        self.drops_agents: Final = user_agent == "drop"
        self._known = lru_cache(maxsize=8192)(self._redact)

    def redact(self, path: str) -> str:
        """The path, with its query values hidden, ready to be stored."""
        return self._known(path) if len(path) <= _LONGEST_CACHED else self._redact(path)

    def _redact(self, path: str) -> str:
        if KEEP_ALL in self._keep:
            return scrub(path, MAX_PATH)
        plain, question, query = path.partition("?")
        if ";" in plain or "%3" in plain:
            plain = _in_path.sub(rf"\1{HIDDEN}", plain)
        if not question:
            return scrub(plain, MAX_PATH)
        parts = _separator.split(query)
        parts[::2] = [self._parameter(part) for part in parts[::2]]
        return scrub(f"{plain}?{''.join(parts)}", MAX_PATH)

    def _parameter(self, part: str) -> str:
        name, equals, _ = part.partition("=")
        if name in self._keep:
            return part
        # A part without a name is a value by itself: `/reset?s3cr3t`.
        return f"{name}={HIDDEN}" if equals else HIDDEN if part else ""

    def redact_bytes(self, value: bytes) -> bytes:
        """Bytes in which no line could be read, with whatever looks like a secret hidden."""
        if KEEP_ALL not in self._keep:
            value = hide_queries(value, self._parameter)
        value = hide_secrets(value)
        if self._user_agent != "store":
            value = hide_agents(value)
        return value if self._forwarded_for == "store" else hide_addresses(value)

    def authority(self, text: str) -> str:
        """An authority without the user and password that somebody wrote into it."""
        return f"{HIDDEN}@{text.rpartition('@')[2]}" if "@" in text else text

    def forwarded_for(self, text: str | None) -> str | None:
        """X-Forwarded-For as it is stored; None: the format does not log it, or it is dropped."""
        if text is None or self._forwarded_for == "drop":
            return None
        if self._forwarded_for == "hash":
            return ",".join(self._hash(one.strip()) for one in text.split(",")) if text else ""
        return scrub(text)

    def user_agent(self, text: str) -> str | None:
        """User-Agent as it is stored; None: it is not logged, or dropped."""
        if not text or self._user_agent == "drop":
            return None
        return self._hash(text) if self._user_agent == "hash" else scrub(text)

    def _hash(self, text: str) -> str:
        value = text.encode("utf-8", "replace")
        return f"h:{blake2b(value, digest_size=_HASH_BYTES, key=self._secret).hexdigest()}"
