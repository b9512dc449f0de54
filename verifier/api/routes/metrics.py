"""What Prometheus reads. Once there are keys it shows one, as a bearer token with scope read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from collector.service.process import ProcessMetrics
from verifier.api.access import Reader

router = APIRouter(tags=["health"])
_EXAMPLE = "# TYPE mirrorproof_build_info gauge"


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "In Prometheus' text format, or OpenMetrics where that is asked for",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
)
def read_metrics(
    request: Request, _caller: Reader, accept: Annotated[str, Header()] = ""
) -> Response:
    """The metrics of this process, and of how the installation stands."""
    process: ProcessMetrics = request.app.state.process
    body, content_type = process.answer(accept)
    return Response(body, media_type=content_type)
