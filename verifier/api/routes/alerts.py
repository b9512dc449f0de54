"""Whom drift is told: endpoints and their states, added, tried, switched on and off."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from collector.db.secrets import request_key_secret
from collector.errors import UsageError
from verifier.alerts import registry
from verifier.alerts.added import Guard, add, added
from verifier.alerts.endpoints import all_of_settings
from verifier.alerts.lines import Lines
from verifier.alerts.senders import Senders
from verifier.alerts.show import state_json
from verifier.alerts.trial import trial_events
from verifier.alerts.vault import vault_of
from verifier.api.access import Admin, Reader
from verifier.api.alert_models import AlertEndpoint, Changed, NewEndpoint, Tried
from verifier.api.problems import documented, not_found
from verifier.api.services import Services, ServicesDep, Snapshot

router = APIRouter(tags=["alerts"])


@router.get("/alerts/endpoints")
def list_endpoints(_: Reader, connection: Snapshot) -> list[AlertEndpoint]:
    """All endpoints with their states, by name."""
    return [AlertEndpoint.model_validate(state_json(one)) for one in registry.states(connection)]


@router.post("/alerts/endpoints", status_code=201)
def add_endpoint(_: Admin, services: ServicesDep, new: NewEndpoint) -> AlertEndpoint:
    """Adds an endpoint whose host is among `alerts.api_hosts`.

    Its address and secrets are stored sealed with `alerts.key`, and never shown.
    """
    own = services.settings.alerts
    guard = Guard(request_key_secret(services.engine), vault_of(own), own.api_hosts)
    with services.writing() as connection:
        name = add(connection, new, guard, services.now_us(connection))
        found = next(one for one in registry.states(connection) if one.name == name)
    return AlertEndpoint.model_validate(state_json(found))


@router.post("/alerts/endpoints/{name}/enable", responses=documented(404))
def enable_endpoint(_: Admin, services: ServicesDep, name: str) -> Changed:
    """Sends to it again what happens from now on."""
    _require(services, name)
    with services.writing() as connection:
        registry.enable(connection, name)
    return Changed(name=name, dropped=0)


@router.post("/alerts/endpoints/{name}/disable", responses=documented(404))
def disable_endpoint(
    caller: Admin,
    services: ServicesDep,
    name: str,
    reason: Annotated[str, Query(max_length=1_000, description="Why, for people")] = "",
) -> Changed:
    """Sends nothing more to it; what waits is dropped."""
    _require(services, name)
    why = f"{caller.name}: {reason}" if reason else f"by {caller.name}"
    with services.writing() as connection:
        dropped = registry.disable(connection, name, why, services.now_us(connection))
    return Changed(name=name, dropped=dropped)


@router.delete("/alerts/endpoints/{name}", responses=documented(404))
def remove_endpoint(_: Admin, services: ServicesDep, name: str) -> Changed:
    """Forgets it; one that is in the settings of a verifier comes back when that starts."""
    _require(services, name)
    with services.writing() as connection:
        dropped = registry.remove(connection, name, services.now_us(connection))
    return Changed(name=name, dropped=dropped)


@router.post("/alerts/endpoints/{name}/test", responses=documented(404))
def try_endpoint(_: Admin, services: ServicesDep, name: str) -> list[Tried]:
    """Sends a marked test event and its resolution, and tells what became of them."""
    own = services.settings.alerts
    known = {one.name: one for one in all_of_settings(own.endpoints)}
    with services.reading() as connection:
        others = added(connection, vault_of(own))
        now_us = services.now_us(connection)
    known |= {one.name: one for one in others.endpoints}
    if name in others.closed:
        raise UsageError(f"endpoint {name!r}: {others.closed[name]}")
    if name not in known:
        raise not_found(f"no endpoint {name!r} is in the settings of this process, or was added")
    senders = Senders(services.clock, Lines(), source=own.source, external_url=own.external_url)
    send = senders.sender(known[name])
    results = [(event.status.value, send(event)) for event in trial_events(now_us)]
    return [
        Tried.model_validate(
            {"event": event, "outcome": one.outcome.value, "reason": one.reason,
             "status": one.status}
        )
        for event, one in results
    ]  # fmt: skip


def _require(services: Services, name: str) -> None:
    with services.reading() as connection:
        if all(one.name != name for one in registry.states(connection)):
            raise not_found(f"there is no endpoint {name!r}")
