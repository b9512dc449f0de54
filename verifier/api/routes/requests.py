"""One request by its id: every line, the pairing, the verdicts it had; and its erasure."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query

from verifier.api.access import Admin, RawReader
from verifier.api.models import Erased, RequestAnswer
from verifier.api.queries.erasing import erase
from verifier.api.services import ServicesDep, Snapshot
from verifier.settle.lookup import explain_in

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
    found = explain_in(connection, id)
    return RequestAnswer.model_validate(
        {
            "request_id": id,
            "episodes": msgspec.to_builtins(found.stories),
            "findings": msgspec.to_builtins(found.findings),
            "lines_kept_from": found.lines_kept_from,
        }
    )


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
