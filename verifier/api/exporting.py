"""Rows as CSV or as JSON lines, while they are read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import Connection

from verifier.api.services import Services

_AT_ONCE: Final = 64 * 1024
"""Characters that are sent together."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run cells that begin so; paths and ids come from anybody."""


class Form(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    NDJSON = "ndjson"


def export(
    services: Services, form: Form, name: str, rows: Callable[[Connection], Iterator[BaseModel]]
) -> StreamingResponse:
    """An answer of any length, with a transaction of its own.

    Args:
        services: What to read with.
        form: What to write.
        name: Of the file, without its ending.
        rows: Reads them, in order.
    """
    write = _csv if form is Form.CSV else _ndjson
    media = "text/csv; charset=utf-8" if form is Form.CSV else "application/x-ndjson"
    disposition = f'attachment; filename="{name}.{form.value}"'

    def parts() -> Iterator[str]:
        with services.reading() as connection:
            yield from _together(write(rows(connection)))

    return StreamingResponse(
        parts(), media_type=media, headers={"Content-Disposition": disposition}
    )


def _ndjson(rows: Iterator[BaseModel]) -> Iterator[str]:
    for row in rows:
        yield row.model_dump_json() + "\n"


def _csv(rows: Iterator[BaseModel]) -> Iterator[str]:
    names: list[str] | None = None
    for row in rows:
        flat = _flat(row.model_dump())
        if names is None:
            names = list(flat)
            yield _csv_line(names)
        yield _csv_line([_cell(flat.get(name)) for name in names])


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
        if size >= _AT_ONCE:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)
