"""A list of request ids, as auditors have one, and the row or rows that each id amounts to.

Pure: the API, the page and the command line show the same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from collector.errors import UsageError
from verifier.times import iso_time

if TYPE_CHECKING:
    from verifier.explain import Story
    from verifier.settle.lookup import Explained, Told

MOST: Final = 100
"""Ids that are looked up at once."""
LONGEST: Final = 1_000
"""Characters of an id."""
NOT_FOUND: Final = "not found"
NOT_JUDGED: Final = "not judged"


class Row(msgspec.Struct, frozen=True):
    """One request of an id, or that nothing is known of the id.

    Attributes:
        request_id: As it was asked.
        found: Whether a stored line or finding has it; else all but the reason is empty.
        verdict: In words; of several requests with their numbers.
        started_at: Of the first line, RFC 3339, UTC; empty: no line is known.
    """

    request_id: str
    found: bool
    policy: str
    method: str
    path: str
    started_at: str
    verdict: str
    reason: str


def read_ids(text: str, most: int = MOST) -> list[str]:
    """The ids of a text, one a line, each once, in order; blanks around them do not count.

    Raises:
        UsageError: There is none, there are too many, or one is too long.
    """
    lines = (line.strip(" \t\r\ufeff") for line in text.split("\n"))
    ids = list(dict.fromkeys(line for line in lines if line))
    if not ids:
        raise UsageError("ids: there is none; write one a line")
    if len(ids) > most:
        raise UsageError(f"ids: {len(ids)} are too many at once; at most {most}")
    for number, one in enumerate(ids, 1):
        if len(one) > LONGEST:
            raise UsageError(f"ids: number {number} has over {LONGEST} characters")
    return ids


def rows_of(request_id: str, found: Explained) -> list[Row]:
    """What is known of an id, a row for each of its requests; at least one row.

    Lines that are no longer judged say nothing: what was found of them when they were, does.
    """
    judged = [story for story in found.stories if story.verdicts]
    rest = [story for story in found.stories if not story.verdicts]
    standing = [told for told in found.findings if not told.superseded]
    rows = [_of_story(request_id, story) for story in judged]
    if rest or not judged:
        told = [_of_finding(request_id, one) for one in standing]
        rows += told or [_of_story(request_id, story) for story in rest]
    return rows or [_nothing(request_id, found)]


def all_rows(found: Iterable[tuple[str, Explained]]) -> list[Row]:
    """The rows of all ids, in their order."""
    return [row for request_id, one in found for row in rows_of(request_id, one)]


def summary(rows: Sequence[Row]) -> str:
    """How many ids there are of each verdict, in words, the most first."""
    ids = Counter(row.verdict for row in rows)
    words = ", ".join(f"{count} {verdict}" for verdict, count in ids.most_common())
    return f"{len({row.request_id for row in rows})} ids: {words}"


def _of_story(request_id: str, story: Story) -> Row:
    counted = story.verdicts.items()
    is_one = len(counted) == 1 and story.requests_high <= 1
    words = [name if is_one else f"{count} {name}" for name, count in counted]
    started_at = min((line.started_at for line in story.lines), default="")
    reasons = [
        reason.removeprefix(f"{words[0]}: ") if is_one else reason for reason in story.reasons
    ]
    return Row(
        request_id, True, story.policy, story.method, story.path, started_at,
        ", ".join(words) or NOT_JUDGED, "; ".join(reasons),
    )  # fmt: skip


def _of_finding(request_id: str, told: Told) -> Row:
    started_us = min((int(line["start_us"]) for line in told.evidence), default=None)
    return Row(
        request_id, True, told.policy, told.method, told.path,
        "" if started_us is None else iso_time(started_us), told.verdict, told.reason,
    )  # fmt: skip


def _nothing(request_id: str, found: Explained) -> Row:
    if found.findings:
        reason = "what was found of it was taken back, and its lines are no longer stored"
        return Row(request_id, True, "", "", "", "", NOT_JUDGED, reason)
    reason = "no stored line or finding has this id"
    if found.lines_kept_from is not None:
        reason += f"; lines from before {found.lines_kept_from} may be no longer stored"
    return Row(request_id, False, "", "", "", "", NOT_FOUND, reason)
