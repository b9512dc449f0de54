"""Policies: read, looked over, recorded."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from collector.db.policies import record_versions
from collector.errors import UsageError
from verifier.api import asking
from verifier.api.access import Admin, Reader
from verifier.api.models import Applied, LintAnswer, PolicySummary, Version
from verifier.api.problems import documented, invalid, not_found
from verifier.api.queries import policies as queries
from verifier.api.services import ServicesDep, Snapshot
from verifier.policies.documents import MAX_BYTES, parse_documents
from verifier.policies.lint import lint
from verifier.policies.model import Policy
from verifier.policies.read import policies_of
from verifier.policies.stored import to_record

router = APIRouter(tags=["policies"])
_EXAMPLE: Final = """policies:
  - name: weather/forecast
    host: forecast.weather
    primary: v2
    mirrors: [{subset: v1, percent: 100}]
"""
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "YAML or JSON, at most 1 MiB, as `mirrorproof policy record` reads it",
        "content": {"application/yaml": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


async def _policies(request: Request) -> tuple[Policy, ...]:
    """The policies of the body; no more of it is read than there may be."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            break
    try:
        return policies_of(parse_documents(body, "body"), "body")
    except UsageError as error:
        raise invalid("body", str(error), "body") from error


Policies = Annotated[tuple[Policy, ...], Depends(_policies)]


@router.get("/policies")
def list_policies(_: Reader, connection: Snapshot) -> list[PolicySummary]:
    """Every policy by its newest version, and how far it is settled."""
    return queries.summaries(connection)


@router.get("/policies/versions", responses=documented(404))
def list_versions(_: Reader, connection: Snapshot, policy: asking.Policy) -> list[Version]:
    """All versions of a policy, in the order in which they were recorded."""
    found = queries.versions(connection, policy)
    if not found:
        raise not_found(f"no policy is called {policy!r}")
    return found


@router.post("/policies/lint", openapi_extra=_BODY)
def lint_policies(_: Reader, policies: Policies) -> LintAnswer:
    """What looks wrong about policies; nothing is recorded."""
    names = [policy.name for policy in policies]
    return LintAnswer(policies=names, lint=[queries.lint_of(one) for one in lint(policies)])


@router.post("/policies", openapi_extra=_BODY)
def apply_policies(
    _: Admin,
    services: ServicesDep,
    policies: Policies,
    valid_from: Annotated[
        str | None,
        Query(max_length=40, description="From when they hold. Left out: from now on"),
    ] = None,
) -> Applied:
    """Records policies: new ones, and changed ones anew. Unchanged ones make no version."""
    with services.writing() as connection:
        now_us = services.now_us(connection)
        if valid_from is not None:
            from_us = asking.read_moment_of("valid_from", valid_from, now_us)
            policies = tuple(
                msgspec.structs.replace(one, valid_from_us=from_us) for one in policies
            )
        made = record_versions(connection, [to_record(one) for one in policies], now_us)
    return Applied(
        policies=[policy.name for policy in policies],
        new_versions=made,
        lint=[queries.lint_of(one) for one in lint(policies)],
    )
