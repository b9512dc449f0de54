"""Probes: this process lives while it answers; it is ready while its answers are of use."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from collector.db.engine import as_our_error
from collector.db.migrate import require_schema
from collector.errors import MirrorproofError
from verifier.api.models import Health
from verifier.api.services import ServicesDep
from verifier.api.waiting import NO_KEY

router = APIRouter(tags=["health"])


@router.get("/healthz", responses={})
def read_health() -> Health:
    """Whether this process answers: nothing else is asked. For liveness."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Health, "description": "With the reasons"}})
def read_readiness(request: Request, services: ServicesDep, response: Response) -> Health:
    """Whether the database answers, with the schema of this program, and anybody may ask."""
    try:
        require_schema(services.engine)
        waits = request.app.state.gatekeeper.waits()
    except SQLAlchemyError as error:
        return _failing(response, "database", str(as_our_error(error, services.engine.url)))
    except MirrorproofError as error:
        return _failing(response, "database", str(error))
    return _failing(response, "access", NO_KEY) if waits else Health(status="ok")


def _failing(response: Response, what: str, reason: str) -> Health:
    response.status_code = 503
    return Health(status="failing", reasons={what: reason})
