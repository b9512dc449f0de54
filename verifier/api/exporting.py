"""Rows as CSV or as JSON lines, while they are read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

import msgspec
from anyio import CapacityLimiter, to_thread
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel
from sqlalchemy import Connection

from verifier.api.services import Services

ROWS: Final = 1_000
"""Of one portion."""
_TOGETHER: Final = 64 * 1024
"""Characters that are sent together."""
_THREADS: Final = CapacityLimiter(2)
"""Read for exports, besides those that answer."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run cells that begin so; paths and ids come from anybody."""


class Form(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    NDJSON = "ndjson"


_MEDIA: Final = {Form.CSV: "text/csv; charset=utf-8", Form.NDJSON: "application/x-ndjson"}
Row = TypeVar("Row")
Position = tuple[int, ...]


class Table(msgspec.Struct, Generic[Row], frozen=True):
    """What is exported.

    Attributes:
        name: Of the file, without its ending.
        shape: What rows look like.
        page: Reads the rows behind a position, at most `ROWS` of them; None: from the beginning.
        key: The position of a row.
        show: A row as it is told.
    """

    name: str
    shape: type[BaseModel]
    page: Callable[[Connection, Position | None], Sequence[Row]]
    key: Callable[[Row], Position]
    show: Callable[[Row], BaseModel]


def export(services: Services, form: Form, table: Table[Any]) -> StreamingResponse:
    """An answer of any length.

    Rows are read a portion at a time, each in a short transaction, so that a client that takes
    hours holds nothing in the database. Each row is told as it stands when it is read.
    """
    write = _csv if form is Form.CSV else _ndjson
    parts = _together(write(table.shape, _shown(services, table)))
    first = next(parts, "")  # what is wrong with the question is told before the answer begins
    return StreamingResponse(
        _sent(first, parts), media_type=_MEDIA[form], headers=_attached(form, table.name)
    )


def written(form: Form, name: str, shape: type[BaseModel], rows: Sequence[BaseModel]) -> Response:
    """An answer of few rows, in the form of an export.

    Args:
        form: What it is written as.
        name: Of the file, without its ending.
        shape: What rows look like.
        rows: All of them.
    """
    write = _csv if form is Form.CSV else _ndjson
    return Response(
        "".join(write(shape, iter(rows))), media_type=_MEDIA[form], headers=_attached(form, name)
    )


def _attached(form: Form, name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}.{form.value}"'}


async def _sent(first: str, parts: Iterator[str]) -> AsyncIterator[str]:
    """The parts, read by few threads of their own: others wait, without holding any."""
    part: str | None = first
    while part is not None:
        yield part
        part = await to_thread.run_sync(next, parts, None, limiter=_THREADS)


def _shown(services: Services, table: Table[Row]) -> Iterator[BaseModel]:
    after: Position | None = None
    while True:
        with services.reading() as connection:
            rows = table.page(connection, after)
        yield from map(table.show, rows)
        if len(rows) < ROWS:
            return
        after = table.key(rows[-1])


def _ndjson(_: type[BaseModel], rows: Iterator[BaseModel]) -> Iterator[str]:
    for row in rows:
        yield row.model_dump_json() + "\n"


def _csv(shape: type[BaseModel], rows: Iterator[BaseModel]) -> Iterator[str]:
    names = list(_columns(shape))
    yield _csv_line(names)
    for row in rows:
        flat = _flat(row.model_dump())
        yield _csv_line([_cell(flat.get(name)) for name in names])


def _columns(shape: type[BaseModel]) -> Iterator[str]:
    for name, field in shape.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from (f"{name}.{one}" for one in inner.model_fields)
        else:
            yield name


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Groups as columns with dots; lists as JSON."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            found[name] = value
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict | bool):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _csv_line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()


def _together(texts: Iterator[str]) -> Iterator[str]:
    """Fewer, larger pieces."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _TOGETHER:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)
