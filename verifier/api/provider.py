"""The public keys of an OpenID Connect provider, asked for seldom, and never twice at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

import jwt
from jwt import PyJWTError

from verifier.alerts.exchange import Rules
from verifier.alerts.http import get
from verifier.alerts.lines import Lines, SendFailed

LIFE_S: Final = 300.0
"""Keys are asked for again after so long; while the provider is away, the old ones count."""
KEPT_S: Final = 3_600.0
"""So long: a key that was withdrawn opens nothing for ever."""
RETRY_S: Final = 10
"""After a question the next one waits so long, however many unknown keys tokens name."""
_RULES: Final = Rules(timeout_s=5.0, allow_http=True, allow_private=True)
"""Settings name the provider, and see to its TLS: it may be in our own network."""


class NoKeys(Exception):
    """The provider's keys are not known; the message says why."""


class ProviderKeys:
    """Keys by their ids. One thread asks the provider, no other waits for it.

    Args:
        url: Where they are.
        monotonic: A clock, seconds.
    """

    def __init__(self, url: str, monotonic: Callable[[], float]) -> None:
        self._url: Final = url
        self._monotonic: Final = monotonic
        self._asking = Lock()
        self._keys: dict[str, Any] = {}
        self._read_s: float | None = None
        self._asked_s: float | None = None
        self._trouble = "they are being asked for"

    def find(self, key_id: str) -> Any | None:
        """The key of an id; None: the provider has none of it.

        Raises:
            NoKeys: What the provider has is not known.
        """
        age_s = self._age_s()
        if key_id not in self._keys or age_s > LIFE_S:
            self._ask()
            age_s = self._age_s()
        if age_s > KEPT_S:
            raise NoKeys(self._trouble)
        return self._keys.get(key_id)

    def _age_s(self) -> float:
        return float("inf") if self._read_s is None else self._monotonic() - self._read_s

    def _ask(self) -> None:
        """Asks, unless somebody does, or did a moment ago."""
        if not self._asking.acquire(blocking=False):
            return
        try:
            now_s = self._monotonic()
            if self._asked_s is not None and now_s - self._asked_s < RETRY_S:
                return
            self._asked_s = now_s
            self._keys = read_keys(self._url)
            self._read_s = self._monotonic()
        except NoKeys as error:
            self._trouble = str(error)
        finally:
            self._asking.release()


def read_keys(url: str) -> dict[str, Any]:
    """The keys that a provider tells, by their ids. Raises NoKeys."""
    try:
        reply = get(url, _RULES, Lines())
    except SendFailed as error:
        raise NoKeys(str(error)) from error
    if reply.status != 200:
        raise NoKeys(f"it answers {reply.status}")
    try:
        found = jwt.PyJWKSet.from_dict(json.loads(reply.body)).keys
    except (ValueError, AttributeError, TypeError, PyJWTError) as error:
        raise NoKeys("its answer is no set of keys") from error
    return {one.key_id: one for one in found if one.key_id and one.public_key_use in (None, "sig")}
