"""Tokens of an OpenID Connect provider: who calls, by its signature."""

from __future__ import annotations

from typing import Any, Final

import jwt
from jwt import PyJWKClient, PyJWTError

from collector.settings.api import ApiSettings
from verifier.api.scopes import Scope

_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""Asymmetric ones only: a public key must never be taken for a shared secret."""
_LEEWAY_S: Final = 30
"""Clocks of providers differ."""
_KEYS_LIFE_S: Final = 300
"""Keys of the provider are asked for again after so long, and at once for an unknown one."""
_TIMEOUT_S: Final = 5


class BadToken(Exception):
    """The token opens nothing; the message says why, without anything of it."""


class Tokens:
    """Checks tokens of one provider.

    Args:
        settings: Issuer, audience, and where its keys are.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._settings: Final = settings
        self._keys: Final = PyJWKClient(
            settings.oidc_jwks_url, cache_keys=False, lifespan=_KEYS_LIFE_S, timeout=_TIMEOUT_S
        )

    def scopes(self, token: str) -> tuple[str, set[Scope]]:
        """Who calls, and what they may do.

        Raises:
            BadToken: It is not valid, or the provider's keys cannot be read.
        """
        try:
            key = self._keys.get_signing_key_from_jwt(token).key
            claims = jwt.decode(
                token,
                key,
                algorithms=list(_ALGORITHMS),
                issuer=self._settings.oidc_issuer,
                audience=self._settings.oidc_audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except PyJWTError as error:
            raise BadToken(type(error).__name__) from error
        return f"oidc:{claims['sub']}", self._granted(claims)

    def _granted(self, claims: dict[str, Any]) -> set[Scope]:
        """The scopes that a claim names, as a list or separated by blanks."""
        given = claims.get(self._settings.oidc_scope_claim, "")
        names = given.split() if isinstance(given, str) else given
        prefix = self._settings.oidc_scope_prefix
        known = {f"{prefix}{scope.value}": scope for scope in Scope}
        return {known[name] for name in names if isinstance(name, str) and name in known}
