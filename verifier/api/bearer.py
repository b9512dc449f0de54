"""Tokens of an OpenID Connect provider: who calls, by its signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import jwt
from jwt import PyJWTError

from collector.settings.api import ApiSettings
from verifier.api.provider import RETRY_S, NoKeys, ProviderKeys
from verifier.api.scopes import Scope

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
"""Asymmetric ones only: a public key must never be taken for a shared secret."""
_LEEWAY_S: Final = 30
"""Clocks of providers differ."""
_MAX_LENGTH: Final = 16_384
"""Characters of a token; those with many groups have some thousand."""
_MAX_NAME: Final = 200
"""Characters of a subject, as it is written down."""


class BadToken(Exception):
    """The token opens nothing; the message says why, without anything of it."""


class Tokens:
    """Checks tokens of one provider.

    Args:
        settings: Issuer, audience, and where its keys are.
        monotonic: A clock, seconds.
    """

    def __init__(self, settings: ApiSettings, monotonic: Callable[[], float]) -> None:
        self._settings: Final = settings
        self._keys: Final = ProviderKeys(settings.oidc_jwks_url, monotonic)

    def scopes(self, token: str) -> tuple[str, set[Scope]]:
        """Who calls, and what they may do.

        Raises:
            BadToken: It is not valid.
            NoKeys: The provider's keys cannot be read.
        """
        if len(token) > _MAX_LENGTH:
            raise BadToken("it is too long")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in _ALGORITHMS:
                raise BadToken("its algorithm is none of a public key")
            key = self._keys.find(str(header.get("kid", "")))
            if key is None:
                raise BadToken("the provider has no such key")
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
        who = str(claims["sub"]).replace("\0", "")[:_MAX_NAME]
        return f"oidc:{who}", self._granted(claims)

    def _granted(self, claims: dict[str, Any]) -> set[Scope]:
        """The scopes that a claim names, as a list or separated by blanks."""
        given = claims.get(self._settings.oidc_scope_claim, "")
        names = given.split() if isinstance(given, str) else given
        if not isinstance(names, list):
            return set()
        prefix = self._settings.oidc_scope_prefix
        known = {f"{prefix}{scope.value}": scope for scope in Scope}
        return {known[name] for name in names if isinstance(name, str) and name in known}


__all__: Final = ["RETRY_S", "BadToken", "NoKeys", "Tokens"]
