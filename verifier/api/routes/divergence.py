"""How the answers of mirrors differ from the primary's, by endpoint."""

from __future__ import annotations

from fastapi import APIRouter

from verifier.api import asking
from verifier.api.access import Reader
from verifier.api.alert_models import ComparedEndpoint, DivergenceAnswer
from verifier.api.asking import Policy, Since, Until
from verifier.api.problems import documented
from verifier.api.services import ServicesDep, Snapshot
from verifier.settle.endpoints import accepted_period, endpoints
from verifier.statistics.divergence import endpoint_json
from verifier.times import iso_time

router = APIRouter(tags=["statements"])


@router.get("/divergence", responses=documented(404))
def read_divergence(
    _: Reader,
    services: ServicesDep,
    connection: Snapshot,
    policy: Policy,
    since: Since = "1d",
    until: Until = None,
) -> DivergenceAnswer:
    """Status, latency and size of matched pairs by endpoint, the one of all pairs first.

    The range is rounded outwards to whole hours.
    """
    asking.grid_of(connection, policy)
    span = asking.read_span(since, until, services.now_us(connection))
    found = endpoints(connection, policy, span.start_us, span.end_us)
    accepted = accepted_period(connection, policy)
    return DivergenceAnswer(
        policy=policy,
        since=iso_time(span.start_us),
        until=iso_time(span.end_us),
        accepted=None if accepted is None else [iso_time(edge) for edge in accepted],
        diverges=any(one.diverges for one in found),
        endpoints=[ComparedEndpoint.model_validate(endpoint_json(one)) for one in found],
    )
