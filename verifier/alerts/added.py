"""The endpoints that were added through the API: kept in the database, sealed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from pydantic import ValidationError
from sqlalchemy import Connection, select, update

from collector.errors import UsageError
from collector.settings.alerts import EndpointSettings
from verifier.alerts.claims import lock
from verifier.alerts.endpoints import STDOUT, Endpoint, of_settings
from verifier.alerts.registry import API, fingerprint, insert_endpoint
from verifier.alerts.tables import alert_endpoint
from verifier.alerts.vault import Vault

_FILES: Final = ("url_file", "secret_file", "authorization_file", "ca_file")
_ENCODER: Final = msgspec.json.Encoder()
_E: Final = alert_endpoint.c


class Added(NamedTuple):
    """Endpoints of the API, with their secrets; and those that cannot be opened: name, reason."""

    endpoints: list[Endpoint]
    closed: dict[str, str]


class Guard(NamedTuple):
    """What guards additions: the key of fingerprints, the vault, patterns of hosts allowed."""

    key: bytes
    vault: Vault
    hosts: Collection[str]


def add(connection: Connection, given: Mapping[str, Any], guard: Guard, now_us: int) -> str:
    """Adds an endpoint, as the API does; returns its name.

    Args:
        connection: In a write transaction.
        given: As an entry of `alerts.endpoints`, without names of files.
        guard: What may be added, and how it is kept.
        now_us: The database's clock.

    Raises:
        UsageError: It is wrong, its host is not allowed, its name is taken, or it cannot be sealed.
    """
    files = sorted(set(given) & set(_FILES))
    if files:
        raise UsageError(f"{files[0]} is only for the settings; give the value")
    try:
        own = EndpointSettings.model_validate(dict(given))
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "endpoint"
        raise UsageError(f"{place}: {problem['msg'].removeprefix('Value error, ')}") from None
    found = of_settings(own)
    if len(found) != 1:
        raise UsageError("url: give one; add an endpoint for each")
    _check_host(found[0], guard.hosts)
    if lock(connection, own.name) is not None:
        raise UsageError(f"name: there is an endpoint {own.name} already")
    config = guard.vault.seal(_ENCODER.encode(dict(given)).decode())
    insert_endpoint(connection, found[0], API, fingerprint(found[0], guard.key), now_us, config)
    return own.name


def _check_host(endpoint: Endpoint, hosts: Collection[str]) -> None:
    host = urlsplit(endpoint.address.url).hostname or ""
    if endpoint.form == STDOUT or not any(fnmatchcase(host, pattern.lower()) for pattern in hosts):
        raise UsageError("url: its host is not among alerts.api_hosts")


def added(connection: Connection, vault: Vault) -> Added:
    """The endpoints that were added through the API, for deliverers."""
    found = Added([], {})
    for name, config in _configs(connection):
        try:
            # A row that was moved under another name must not take over what it is told.
            own = EndpointSettings.model_validate(
                {**msgspec.json.decode(vault.open(config)), "name": name}
            )
            found.endpoints.extend(of_settings(own))
        except (UsageError, ValidationError) as error:
            reason = str(error) if isinstance(error, UsageError) else "this release cannot use it"
            found.closed[name] = reason
    return found


def seal_again(connection: Connection, vault: Vault) -> None:
    """Seals all with the first key, as far as they can be opened: older keys may go then."""
    for name, config in _configs(connection):
        try:
            sealed = vault.renew(config)
        except UsageError:
            continue
        connection.execute(
            update(alert_endpoint).where(_E.name == name, _E.config == config).values(config=sealed)
        )


def note_closed(connection: Connection, closed: Mapping[str, str]) -> None:
    """Has `alert list` and the API say why nothing is sent to these."""
    for name, reason in closed.items():
        connection.execute(update(alert_endpoint).where(_E.name == name).values(last_reason=reason))


def _configs(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute(
        select(_E.name, _E.config).where(_E.origin == API, _E.config.is_not(None)).order_by(_E.name)
    )
    return [(row.name, row.config) for row in rows]
