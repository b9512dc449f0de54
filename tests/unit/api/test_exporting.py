"""Exports: CSV that no spreadsheet runs, JSON lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from pydantic import BaseModel

from verifier.api.exporting import ROWS, Form, Table, export


class Numbers(BaseModel):
    missing: int = 0


class Row(BaseModel):
    path: str
    numbers: Numbers = Numbers()
    lines: list[int] | None = None


class Services:
    @contextmanager
    def reading(self) -> Iterator[None]:
        yield None


async def _text(form: Form, *rows: Row) -> str:
    def page(_: Any, after: tuple[int, ...] | None) -> list[tuple[int, Row]]:
        begin = 0 if after is None else after[0] + 1
        return list(enumerate(rows))[begin : begin + ROWS]

    table = Table("rows", Row, page, lambda row: (row[0],), lambda row: row[1])
    answer = export(cast(Any, Services()), form, table)
    return "".join([str(part) async for part in answer.body_iterator])


def text(form: Form, *rows: Row) -> str:
    """What an export sends."""
    import asyncio

    return asyncio.run(_text(form, *rows))


@pytest.mark.parametrize("path", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(path: str) -> None:
    """What spreadsheets would run gets a quote before it."""
    rows = list(csv.reader(io.StringIO(text(Form.CSV, Row(path=path)), newline="")))

    assert rows[1][0] == f"'{path}"


def test_groups_are_columns_and_lists_are_json() -> None:
    """One line a row, with the names above them."""
    said = text(Form.CSV, Row(path='/a,"b"', numbers=Numbers(missing=-1), lines=[1]), Row(path="/"))

    rows = list(csv.reader(io.StringIO(said, newline="")))
    assert rows == [["path", "numbers.missing", "lines"], ['/a,"b"', "-1", "[1]"], ["/", "0", ""]]


def test_json_lines_are_one_object_each() -> None:
    """And nothing is exported as nothing, or as the names of its columns."""
    assert text(Form.NDJSON, Row(path="/")) == (
        '{"path":"/","numbers":{"missing":0},"lines":null}\n'
    )
    assert text(Form.NDJSON) == ""
    assert text(Form.CSV) == "path,numbers.missing,lines\r\n"


def test_portions_follow_each_other() -> None:
    """Each row once, however many there are."""
    rows = [Row(path=str(number)) for number in range(2 * ROWS + 1)]

    lines = text(Form.NDJSON, *rows).splitlines()

    assert [Row.model_validate_json(line) for line in lines] == rows
