"""Requests by their ids: every line, the pairing, the verdicts it had; and its erasure."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from verifier.api import exporting
from verifier.api.access import Admin, RawReader
from verifier.api.models import Erased, RequestAnswer, RequestAnswers, RequestIds, RequestRow
from verifier.api.problems import invalid
from verifier.api.queries.erasing import erase
from verifier.api.services import ServicesDep, Snapshot
from verifier.listed import all_rows
from verifier.settle.lookup import Explained, explain_each, explain_in

router = APIRouter(tags=["requests"])
RequestId = Annotated[
    str,
    Query(
        min_length=1,
        max_length=1_000,
        description="As any proxy logged it; may hold any character",
        examples=["46ce024f-97b3-4a45-8f73-2d4ef365608d"],
    ),
]


@router.get("/requests")
def read_request(_: RawReader, connection: Snapshot, id: RequestId) -> RequestAnswer:
    """All that is known of a request id: an id may mean several requests, or none.

    `episodes` are judged by all lines that are stored now, `findings` are what was said when the
    windows were settled, also what was taken back.
    """
    return _answer(id, explain_in(connection, id))


def _answer(request_id: str, found: Explained) -> RequestAnswer:
    return RequestAnswer.model_validate(
        {
            "request_id": request_id,
            "episodes": msgspec.to_builtins(found.stories),
            "findings": msgspec.to_builtins(found.findings),
            "lines_kept_from": found.lines_kept_from,
        }
    )


@router.post("/requests/lookup")
def look_up_requests(_: RawReader, connection: Snapshot, wanted: RequestIds) -> RequestAnswers:
    """All that is known of each id of a list, as `GET /requests` tells it of one."""
    items = [_answer(one, found) for one, found in explain_each(connection, _once(wanted))]
    missing = [one.request_id for one in items if not one.episodes and not one.findings]
    return RequestAnswers(items=items, not_found=missing)


@router.post("/requests/lookup/export", response_class=Response)
def export_requests(
    _: RawReader,
    connection: Snapshot,
    wanted: RequestIds,
    form: exporting.Form = exporting.Form.CSV,
) -> Response:
    """A row for each request of a list of ids, with verdict and reason; also of ids not found."""
    rows = all_rows(explain_each(connection, _once(wanted)))
    shown = [RequestRow.model_validate(msgspec.to_builtins(row)) for row in rows]
    return exporting.written(form, "requests", RequestRow, shown)


def _once(wanted: RequestIds) -> list[str]:
    if any("\0" in one for one in wanted.ids):
        raise invalid("ids", "one holds a NUL character, which nothing stored does", "body")
    return list(dict.fromkeys(wanted.ids))


@router.delete("/requests")
def erase_request(
    caller: Admin,
    services: ServicesDep,
    id: RequestId,
    why: Annotated[str, Query(min_length=1, max_length=1_000, description="Written down")],
) -> Erased:
    """Takes away what people could read of a request id: id, path, addresses, evidence.

    Numbers and verdicts stay: lines keep the hash by which they are paired. That findings were
    erased is written down, by whom and why.
    """
    with services.writing() as connection:
        now_us = services.now_us(connection)
        return erase(connection, id, who=caller.name, why=why, now_us=now_us)
