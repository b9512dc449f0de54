"""One form for every error: problem+json, RFC 9457, with the fields that are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from collector.db.engine import as_our_error
from collector.errors import InputError, MirrorproofError, Retryable, UsageError
from collector.log import get_logger

MEDIA_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:mirrorproof:problem:"
_RETRY_AFTER_S: Final = 5
"""A database that is away is asked again after so long."""


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Its name; of nested ones with dots", examples=["since"])
    within: str = Field(description="Where it was given: query, header, path, body")
    reason: str = Field(description="What is wrong, and what to write instead")


class Problem(BaseModel):
    """An error, RFC 9457."""

    type: str = Field(description="A name that stays", examples=["urn:mirrorproof:problem:invalid"])
    title: str = Field(description="The kind of error in words")
    status: int = Field(description="The HTTP status", examples=[422])
    detail: str = Field(description="What happened, and what to do")
    instance: str = Field(description="The path that was asked")
    errors: list[FieldError] = Field(default=[], description="The fields that are wrong")


class Refusal(Exception):
    """A request that is answered with a problem.

    Args:
        status: The HTTP status.
        name: The last part of the problem's type.
        detail: What happened, and what to do.
        errors: The fields that are wrong.
        headers: Of the answer, besides.
    """

    def __init__(
        self,
        status: HTTPStatus,
        name: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.name: Final = name
        self.detail: Final = detail
        self.errors: Final = list(errors)
        self.headers: Final = dict(headers or {})


def invalid(field: str, reason: str, within: str = "query") -> Refusal:
    """The refusal of one field."""
    wrong = FieldError(field=field, within=within, reason=reason)
    detail = f"{field}: {reason}"
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, [wrong])


def not_found(what: str) -> Refusal:
    """There is no such thing."""
    return Refusal(HTTPStatus.NOT_FOUND, "not-found", what)


def not_yet(what: str) -> Refusal:
    """The question is right, and will have an answer later."""
    return Refusal(HTTPStatus.CONFLICT, "not-yet", what)


def answer(request: Request, refusal: Refusal) -> JSONResponse:
    """The problem that a refusal is."""
    problem = Problem(
        type=_TYPE + refusal.name,
        title=refusal.status.phrase,
        status=refusal.status,
        detail=refusal.detail,
        instance=request.url.path,
        errors=refusal.errors,
    )
    return JSONResponse(
        problem.model_dump(), refusal.status, headers=refusal.headers, media_type=MEDIA_TYPE
    )


def _field_error(error: Mapping[str, Any]) -> FieldError:
    where = [str(part) for part in error["loc"]]
    return FieldError(field=".".join(where[1:]) or "body", within=where[0], reason=error["msg"])


def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [_field_error(one) for one in error.errors()]
    detail = "; ".join(f"{one.field}: {one.reason}" for one in errors)
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return answer(request, Refusal(status, "invalid", detail, errors))


def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    name = status.phrase.lower().replace(" ", "-")
    return answer(request, Refusal(status, name, str(error.detail), headers=error.headers))


def _on_ours(request: Request, error: Exception) -> JSONResponse:
    """What our own code refuses: by what the caller can do about it."""
    if isinstance(error, UsageError | InputError):
        return answer(request, Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", str(error)))
    if isinstance(error, Retryable):
        wait = {"Retry-After": str(_RETRY_AFTER_S)}
        detail = f"{error}; try again in {_RETRY_AFTER_S} s"
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return answer(request, Refusal(status, "database-away", detail, headers=wait))
    return _on_anything(request, error)


def _on_database(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SQLAlchemyError)
    # A wrong setting of ours is no fault of whoever asks.
    if _took_too_long(error):
        return answer(request, _too_long())
    ours = as_our_error(error, request.app.state.services.engine.url)
    return _on_ours(request, ours if isinstance(ours, Retryable) else Retryable(str(ours)))


def _took_too_long(error: SQLAlchemyError) -> bool:
    """Whether the database gave a question up, see `Services.reading`."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    return getattr(cause, "sqlstate", None) == "57014" or str(cause) == "interrupted"


def _too_long() -> Refusal:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    detail = "the question took longer than api.statement_timeout_s: ask for a shorter range"
    return Refusal(status, "took-too-long", detail, headers={"Retry-After": str(_RETRY_AFTER_S)})


def _on_anything(request: Request, error: Exception) -> JSONResponse:
    get_logger(component="api").error("request_failed", path=request.url.path, exc_info=error)
    detail = "an error of mirrorproof itself; its log has the details"
    return answer(request, Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail))


def _on_gone(request: Request, _: Exception) -> JSONResponse:
    detail = "the connection ended before the body did"
    return answer(request, Refusal(HTTPStatus.BAD_REQUEST, "gone", detail))


def _on_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return answer(request, error)


def install(app: FastAPI) -> None:
    """Has every error of the application answered as a problem."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(MirrorproofError, _on_ours)
    app.add_exception_handler(SQLAlchemyError, _on_database)
    app.add_exception_handler(Exception, _on_anything)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its OpenAPI description."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }
