"""Puts the API together. No application is at module level: tests make as many as they want."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi

from collector.service.process import ProcessMetrics
from verifier.api import problems
from verifier.api.access import Gatekeeper
from verifier.api.limits import Limits
from verifier.api.measured import Measured, RequestMetrics
from verifier.api.problems import Problem, documented
from verifier.api.routes import (
    alerts,
    certificates,
    divergence,
    findings,
    health,
    incidents,
    ingest,
    metrics,
    policies,
    requests,
    statements,
)
from verifier.api.services import Services
from verifier.api.waiting import Waiting
from verifier.app import tick_rules
from verifier.page import routes as pages
from verifier.standing import Standing

PREFIX: Final = "/api/v1"
_DESCRIPTION: Final = """What was settled, found and ingested, for audits and programs.

Times are RFC 3339. Ranges are rounded outwards to whole windows, and the answer says so. Lists have
pages: `Link: <…>; rel="next"` names the next one. Every error is a problem, RFC 9457.
"""
_ROUTERS: Final = (
    statements.router,
    findings.router,
    requests.router,
    policies.router,
    ingest.router,
    certificates.router,
    divergence.router,
    incidents.router,
    alerts.router,
)


def create_app(services: Services, process: ProcessMetrics | None = None) -> FastAPI:
    """The API.

    Args:
        services: What the routes work with.
        process: Whose metrics it shows, its own among them; None: of a process of its own.
    """
    app = FastAPI(
        title="mirrorproof",
        version=version("mirrorproof"),
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
        responses=documented(400, 401, 403, 413, 422, 429, 503),
        dependencies=[Depends(_refuse_nul), Depends(_refuse_unknown)],
    )
    app.state.services = services
    app.state.gatekeeper = Gatekeeper(services)
    problems.install(app)
    app.add_middleware(Waiting, keyed=app.state.gatekeeper)
    app.add_middleware(Limits)
    _measure(app, services, process or ProcessMetrics())
    for router in _ROUTERS:
        app.include_router(router, prefix=PREFIX)
    app.include_router(health.router)
    app.include_router(metrics.router)
    pages.install(app)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return app


def _measure(app: FastAPI, services: Services, process: ProcessMetrics) -> None:
    app.state.process = process
    counted = RequestMetrics(process.registry)
    evidence = tick_rules(services.settings.verifier).evidence
    Standing(services.engine, evidence, process, services.clock, services.now_us)
    app.add_middleware(Measured, counted=counted, clock=services.clock, prefix=PREFIX)


async def _refuse_nul(request: Request) -> None:
    """No stored text holds one, and PostgreSQL takes none in a question."""
    for name, value in request.query_params.multi_items():
        if "\0" in name or "\0" in value:
            raise problems.invalid(name, "holds a NUL character, which nothing stored does")


async def _refuse_unknown(request: Request) -> None:
    """A filter that is misspelt would be none, and the answer one to another question."""
    template: str = getattr(request.scope.get("route"), "path", "")
    path = template if template.startswith(PREFIX) else PREFIX + template
    described = request.app.openapi()["paths"].get(path, {}).get(request.method.lower())
    if described is None or not request.url.path.startswith(PREFIX):
        return
    parameters = described.get("parameters", ())
    known = sorted(one["name"] for one in parameters if one["in"] == "query")
    for name in request.query_params:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "there is none"
            raise problems.invalid(name, f"is no parameter here; {there}")


def _describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with our form of errors in it."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= schema.pop("$defs", {})
        schemas["Problem"] = schema
        app.openapi_schema = document
    return app.openapi_schema


__all__: Final = ["PREFIX", "create_app"]
