"""Exports: CSV that no spreadsheet runs, JSON lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from pydantic import BaseModel

from verifier.api.exporting import Form, export


class Row(BaseModel):
    path: str
    numbers: dict[str, int]
    lines: list[int] | None = None


class Services:
    @contextmanager
    def reading(self) -> Iterator[None]:
        yield None


async def _text(form: Form, *rows: Row) -> str:
    answer = export(cast(Any, Services()), form, "rows", lambda _: iter(rows))
    return "".join([str(part) async for part in answer.body_iterator])


def text(form: Form, *rows: Row) -> str:
    """What an export sends."""
    import asyncio

    return asyncio.run(_text(form, *rows))


@pytest.mark.parametrize("path", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(path: str) -> None:
    """What spreadsheets would run gets a quote before it."""
    rows = list(csv.reader(io.StringIO(text(Form.CSV, Row(path=path, numbers={})), newline="")))

    assert rows[1][0] == f"'{path}"


def test_groups_are_columns_and_lists_are_json() -> None:
    """One line a row, with the names above them."""
    said = text(
        Form.CSV, Row(path='/a,"b"', numbers={"missing": -1}, lines=[1]), Row(path="/", numbers={})
    )

    rows = list(csv.reader(io.StringIO(said, newline="")))
    assert rows == [["path", "numbers.missing", "lines"], ['/a,"b"', "-1", "[1]"], ["/", "", ""]]


def test_json_lines_are_one_object_each() -> None:
    """And nothing is exported as nothing."""
    assert text(Form.NDJSON, Row(path="/", numbers={})) == (
        '{"path":"/","numbers":{},"lines":null}\n'
    )
    assert text(Form.NDJSON) == ""
