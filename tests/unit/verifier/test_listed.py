"""A list of ids is read with limits, and each id amounts to at least one row."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import UsageError
from verifier.cli.explain_list import sort_arguments
from verifier.explain import NO_LONGER_STORED, Shown, Story
from verifier.listed import Row, read_ids, rows_of
from verifier.settle.lookup import Explained, Told

AT = "2026-11-22T15:13:00.927Z"


def story(verdicts: dict[str, int], *reasons: str) -> Story:
    """An episode of one line."""
    line = Shown("primary", "v2-a", AT, 3, 200, "", "forecast", None, "t/0@7")
    return Story("weather/forecast", "GET", "/", verdicts, list(reasons), 1, 1, [line])


def told(verdict: str, *, superseded: bool = False) -> Told:
    """What was said when a window was settled."""
    evidence = [{"start_us": 1_795_360_380_927_000}]
    return Told("weather/forecast", verdict, "why", AT, 1, superseded, "GET", "/", evidence)


def row(verdict: str, reason: str) -> Row:
    """A row of the id `a`."""
    return Row("a", True, "weather/forecast", "GET", "/", AT, verdict, reason)


def test_ids_are_lines_each_once() -> None:
    """Blanks, empty lines, a byte-order mark and Windows' line ends do not count."""
    assert read_ids("\ufeffb\r\n\n a\u2028x \nb") == ["b", "a\u2028x"]


@pytest.mark.parametrize("text", ["", " \n", "1\n2\n3", "x" * 1_001])
def test_lists_without_sense_are_refused(text: str) -> None:
    """None, too many, too long."""
    with pytest.raises(UsageError, match=r"^ids: "):
        read_ids(text, 2)


@pytest.mark.parametrize(
    ("found", "rows"),
    [
        (Explained([story({"missing": 1}, "missing: r", "s")], [], None), [row("missing", "r; s")]),
        (
            Explained([story({}, NO_LONGER_STORED)], [told("leak")], None),
            [row("leak", "why")],
        ),
        (
            Explained([story({}, NO_LONGER_STORED)], [told("leak", superseded=True)], None),
            [row("not judged", NO_LONGER_STORED)],
        ),
        (Explained([], [told("missing")], AT), [row("missing", "why")]),
    ],
)
def test_what_stands_of_an_id_is_its_row(found: Explained, rows: list[Row]) -> None:
    """The judgement by its lines; without them what was found, unless that was taken back."""
    assert rows_of("a", found) == rows


def test_an_id_of_nothing_is_a_row_too() -> None:
    """It says that it is not found, and from when on lines are kept."""
    (nothing,) = rows_of("a", Explained([], [], AT))
    (taken_back,) = rows_of("a", Explained([], [told("leak", superseded=True)], None))

    assert (nothing.found, nothing.verdict) == (False, "not found")
    assert AT in nothing.reason
    assert (taken_back.found, taken_back.verdict) == (True, "not judged")


def test_arguments_are_ids_unless_there_are_policies(tmp_path: Path) -> None:
    """With policies the first is; with a list all are logs; a log without policies is refused."""
    log, ids = tmp_path / "a.log", tmp_path / "ids.txt"
    log.touch()
    ids.write_text("x\ny\n")

    assert sort_arguments(["x", "y", "x"], None, has_policy=False) == (["x", "y"], [])
    assert sort_arguments(["x", "a.log"], None, has_policy=True) == (["x"], ["a.log"])
    assert sort_arguments(["a.log"], str(ids), has_policy=True) == (["x", "y"], ["a.log"])
    for given, file in ((["x", str(log)], None), (["a.log"], str(ids)), (["-"], "-")):
        with pytest.raises(UsageError):
            sort_arguments(given, file, has_policy=False)
