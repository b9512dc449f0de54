"""Endpoints as deliverers use them: the settings read, checked, and with their secrets."""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import msgspec
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from collector.errors import UsageError
from collector.settings.alerts import EndpointSettings
from verifier.alerts.exchange import Rules
from verifier.alerts.forms.form import Address
from verifier.alerts.forms.pagerduty import DEFAULT_URL
from verifier.alerts.wants import Wants
from verifier.incidents.event import Kind, Severity

FLUENTD: Final = "fluentd"
STDOUT: Final = "stdout"
_FLUENT_PORT: Final = 24_224
_FEWEST_SECRET_BYTES: Final = 24
"""Source: Standard Webhooks, "Signature scheme": 24 to 64 bytes."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver.

    Attributes:
        name: Names its state in the database.
        form: What it understands.
        address: Where it is, with its secrets.
        rules: How it may be called.
        wants: Which events it gets.
        concurrency: Most messages on their way at the same time.
    """

    name: str
    form: str
    address: Address
    rules: Rules
    wants: Wants
    concurrency: int = 2


class FluentAddress(msgspec.Struct, frozen=True):
    """Where a Fluentd is."""

    host: str
    port: int
    tag: str


def all_of_settings(given: Iterable[EndpointSettings]) -> list[Endpoint]:
    """All endpoints of the settings.

    Raises:
        UsageError: A secret cannot be read or used, a URL is none, two have the same name.
    """
    found = [endpoint for one in given for endpoint in of_settings(one)]
    names = [endpoint.name for endpoint in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"alerts.endpoints: two are called {name}; rename one")
    return found


def of_settings(own: EndpointSettings) -> list[Endpoint]:
    """The endpoints that one entry means: one for each of its URLs. Raises UsageError."""
    urls = (own.given("url") or "").split()
    if not urls:
        if own.url is not None or own.url_file is not None:
            raise UsageError(f"{_place(own)}.url is empty")
        urls = [DEFAULT_URL if own.form == "pagerduty" else ""]
    secrets = tuple((own.given("secret") or "").split())
    _check(own, urls, secrets)
    authorization = own.given("authorization")
    return [
        Endpoint(
            name=own.name if len(urls) == 1 else f"{own.name}-{number}",
            form=own.form,
            address=Address(url=url, secrets=secrets, authorization=authorization),
            rules=Rules(
                timeout_s=own.timeout_s,
                allow_http=own.allow_http,
                allow_private=own.allow_private,
                ca_file=own.ca_file,
            ),
            wants=Wants(
                kinds=own.kinds,
                policies=own.policies,
                least_severity=Severity(own.least_severity),
            ),
            concurrency=own.concurrency,
        )
        for number, url in enumerate(urls, 1)
    ]


def _place(own: EndpointSettings) -> str:
    return f"alerts.endpoints {own.name}"


def _check(own: EndpointSettings, urls: list[str], secrets: tuple[str, ...]) -> None:
    """Raises UsageError for what would never work, without showing it."""
    place = _place(own)
    unknown = sorted(set(own.kinds) - set(Kind))
    if unknown:
        raise UsageError(f"{place}.kinds: {unknown[0]!r} is none of {', '.join(Kind)}")
    for url in urls:
        _check_url(own, url)
    if own.form == "pagerduty" and len(secrets) != 1:
        raise UsageError(f"{place}.secret must be one routing key")
    if own.form == "standard-webhooks":
        for secret in secrets:
            _check_secret(place, secret)


def _check_url(own: EndpointSettings, url: str) -> None:
    place = _place(own)
    if own.form == STDOUT:
        return
    if own.form == FLUENTD:
        fluent_address(url)
        return
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{place}.url is no URL of http or https")
    if parts.scheme == "http" and not own.allow_http:
        raise UsageError(f"{place}.url is without TLS; use https, or set allow_http")


def _check_secret(place: str, secret: str) -> None:
    try:
        Webhook(secret)
        length = len(binascii.a2b_base64(secret.removeprefix("whsec_") + "=="))
    except (ValueError, EmptyWebhookSecretError):
        raise UsageError(f"{place}.secret must be whsec_ and base64") from None
    if length < _FEWEST_SECRET_BYTES:
        raise UsageError(f"{place}.secret has {length} bytes, needs {_FEWEST_SECRET_BYTES}")


def fluent_address(url: str) -> FluentAddress:
    """Reads `fluent://HOST:PORT/TAG`. Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port or _FLUENT_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "fluent" or not parts.hostname:
        raise UsageError("the URL of a Fluentd is fluent://HOST:24224/TAG")
    return FluentAddress(parts.hostname, port, parts.path.strip("/") or "mirrorproof")
