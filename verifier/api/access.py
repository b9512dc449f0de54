"""Who may do what: keys, bearer tokens, and this machine alone while there are neither.

Every route names its scope through `Reader`, `RawReader` or `Admin`; a test walks over all routes
and finds the one that does not.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from math import ceil
from threading import Lock
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from verifier.api import keys
from verifier.api.bearer import RETRY_S, BadToken, NoKeys, Tokens
from verifier.api.problems import Refusal
from verifier.api.rates import Rates
from verifier.api.scopes import Scope, with_included
from verifier.api.services import Services, ServicesDep
from verifier.api.waiting import address_of, is_loopback

_BELIEVED_S: Final = 5.0
"""That there is no key is believed for so long; a new key shuts the door after it."""
_BELIEVED_WAITING_S: Final = 1.0
"""Where nothing is answered without a key, its maker waits for the door to open."""
_UNSAFE: Final = ("POST", "PUT", "PATCH", "DELETE")
_KEY_MARK: Final = "mp_"


class Caller(msgspec.Struct, frozen=True):
    """Who asks, and what they may do."""

    name: str
    scopes: frozenset[Scope]


class Gatekeeper:
    """Tells who asks.

    Args:
        services: What the routes work with.
    """

    def __init__(self, services: Services) -> None:
        api = services.settings.api
        self._services: Final = services
        self._rates: Final = Rates(api.rate_per_s, api.rate_burst)
        self._tokens: Final = Tokens(api, services.clock.monotonic) if api.oidc_issuer else None
        self._lock = Lock()
        self._asked_s: float | None = None
        self._is_keyless = False
        self._is_alone: Final = is_loopback(address_of(api.listen)[0])
        self._was_keyed = self._is_alone or self._tokens is not None

    def admit(self, request: Request, credentials: str | None) -> Caller:
        """Who asks.

        Raises:
            Refusal: Nobody we know, or too often.
        """
        try:
            caller = self._caller(request, credentials)
        except Refusal:
            # Guessing is limited, too.
            self._limit(f"unknown {_address(request)}")
            raise
        self._limit(caller.name)
        return caller

    def admit_key(self, request: Request, whole: str) -> Caller:
        """Who shows a key, of ours and no token. Raises Refusal."""
        return self.admit(request, whole if whole.startswith(_KEY_MARK) else _KEY_MARK)

    def _caller(self, request: Request, credentials: str | None) -> Caller:
        if credentials is None:
            if self.is_open() and _is_local(request):
                return Caller("local", with_included(set(Scope)))
            raise _unknown("show a key: Authorization: Bearer mp_…; `mirrorproof key create`")
        if credentials.startswith(_KEY_MARK):
            return self._by_key(credentials)
        if self._tokens is None:
            raise _unknown("this is no key of ours, and no OpenID Connect provider is set")
        try:
            name, scopes = self._tokens.scopes(credentials)
        except BadToken as error:
            raise _unknown(f"the token is not valid: {error}") from error
        except NoKeys as error:
            raise _provider_away(str(error)) from error
        return Caller(name, with_included(scopes))

    def _by_key(self, whole: str) -> Caller:
        with self._services.reading() as connection:
            found = keys.find(connection, whole, self._services.now_us(connection))
        if found is None:
            raise _unknown("the key is unknown, revoked, or over")
        return Caller(f"key:{found.prefix}", with_included(set(found.scopes)))

    def caller_of_prefix(self, prefix: str) -> Caller | None:
        """Who showed a key before, by its public beginning; None: it is not valid any more."""
        with self._services.reading() as connection:
            found = keys.of_prefix(connection, prefix, self._services.now_us(connection))
        if found is None:
            return None
        caller = Caller(f"key:{found.prefix}", with_included(set(found.scopes)))
        self._limit(caller.name)
        return caller

    def is_open(self) -> bool:
        """Whether nobody set up who may ask: then this machine may, and nobody else.

        Never where other machines can ask: what reaches us from this one may be passed on.
        """
        return self._is_alone and self._tokens is None and self._has_no_key(_BELIEVED_S)

    def waits(self) -> bool:
        """Whether nobody may ask yet: other machines can, and there was no key, nor a provider."""
        if not self._was_keyed:
            self._was_keyed = not self._has_no_key(_BELIEVED_WAITING_S)
        return not self._was_keyed

    def _has_no_key(self, believed_s: float) -> bool:
        with self._lock:
            now_s = self._services.clock.monotonic()
            if self._asked_s is None or now_s - self._asked_s >= believed_s:
                with self._services.reading() as connection:
                    now_us = self._services.now_us(connection)
                    self._is_keyless = not keys.any_valid(connection, now_us)
                self._asked_s = now_s
            return self._is_keyless

    def _limit(self, name: str) -> None:
        wait_s = self._rates.take(name, self._services.clock.monotonic())
        if wait_s:
            after = ceil(wait_s)
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-requests",
                f"more than api.rate_per_s requests; ask again in {after} s",
                headers={"Retry-After": str(after)},
            )


def _unknown(detail: str) -> Refusal:
    headers = {"WWW-Authenticate": 'Bearer realm="mirrorproof"'}
    return Refusal(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, headers=headers)


def _provider_away(reason: str) -> Refusal:
    detail = f"the OpenID Connect provider's keys cannot be read: {reason}"
    wait = {"Retry-After": str(RETRY_S)}
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "provider-away", detail, headers=wait)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_local(request: Request) -> bool:
    """Asked from this machine, by a name of this machine: a page elsewhere must not reach us.

    A web page whose name resolves to 127.0.0.1 (DNS rebinding) still sends its own name; one that
    sends a form here sends where it is from. What a proxy passes on comes from anywhere.
    """
    named = is_loopback(request.url.hostname or "") and "x-forwarded-for" not in request.headers
    return is_loopback(_address(request)) and named and not _is_forged(request)


def _is_forged(request: Request) -> bool:
    """Whether a page of somebody else made the browser send this, to change something."""
    if request.method not in _UNSAFE:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


_bearer: Final = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="A key (`mirrorproof key create`), or a token of the OpenID Connect provider.",
)
_header: Final = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="key")


def _admitted(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> Caller:
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    shown = bearer.credentials if bearer else header
    caller = gatekeeper.admit(request, shown)
    request.state.caller = caller.name
    return caller


def _needs(scope: Scope) -> Callable[[Caller], Caller]:
    def check(caller: Annotated[Caller, Depends(_admitted)]) -> Caller:
        if scope not in caller.scopes:
            detail = f"this needs the scope {scope.value}; {caller.name} has not got it"
            raise Refusal(HTTPStatus.FORBIDDEN, "forbidden", detail)
        return caller

    check.scope = scope  # type: ignore[attr-defined]  # for the test that walks over all routes
    return check


Reader = Annotated[Caller, Depends(_needs(Scope.READ))]
RawReader = Annotated[Caller, Depends(_needs(Scope.RAW))]
Admin = Annotated[Caller, Depends(_needs(Scope.ADMIN))]
__all__: Final = ["Admin", "Caller", "Gatekeeper", "RawReader", "Reader", "ServicesDep"]
