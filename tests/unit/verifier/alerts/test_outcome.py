"""What an answer means for a message."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from verifier.alerts.outcome import LONGEST_RETRY_AFTER_US, Outcome, of_status, read_retry_after

NOW_US = 1_764_000_000_000_000  # Mon, 24 Nov 2025 16:00:00 GMT
S = 1_000_000

# Every code of the IANA registry that Python knows, and some that exist all the same.
TABLE = {
    "retry": [
        *(100, 101, 102, 103),
        *(300, 301, 302, 303, 304, 305, 307, 308),
        *(401, 402, 403, 404, 405, 406, 407, 408, 409, 411, 412, 416, 417, 418, 421),
        *(423, 424, 425, 426, 428, 451),
        *(500, 501, 505, 506, 507, 508, 510, 511),
        *(306, 419, 499, 520, 521, 524, 530, 599, 999),
    ],
    "throttled": [429, 502, 503, 504],
    "refused": [400, 413, 414, 415, 422, 431],
    "gone": [410],
    "delivered": [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299],
}
ROWS = [(status, outcome) for outcome, statuses in TABLE.items() for status in statuses]


@pytest.mark.parametrize(("status", "outcome"), ROWS)
def test_every_status_has_its_outcome(status: int, outcome: str) -> None:
    """2xx alone is success; 410 ends it; what is wrong with the message itself is not repeated."""
    result = of_status(status, None, NOW_US)

    assert result.outcome == Outcome(outcome)
    assert result.status == status
    assert result.reason.startswith(str(status))


def test_the_table_has_a_row_for_every_status() -> None:
    """None that the standard library knows is left out, none is there twice."""
    statuses = [status for status, _ in ROWS]

    assert {status.value for status in HTTPStatus} - set(statuses) == set()
    assert len(statuses) == len(set(statuses))


@pytest.mark.parametrize(
    ("text", "wait_us"),
    [
        ("0", None),
        ("1", S),
        (" 120 ", 120 * S),
        ("Mon, 24 Nov 2025 16:02:00 GMT", 120 * S),
        ("Mon, 24 Nov 2025 15:00:00 GMT", None),
        ("99999999999999999999999", LONGEST_RETRY_AFTER_US),
        ("Mon, 24 Nov 2099 16:02:00 GMT", LONGEST_RETRY_AFTER_US),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("Mon, 99 Nov 2025 99:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, wait_us: int | None) -> None:
    """What cannot be read asks for nothing; nobody silences alerts for more than a day."""
    assert read_retry_after(text, NOW_US) == wait_us


def test_retry_after_counts_only_where_the_message_is_tried_again() -> None:
    """On success it says nothing."""
    assert of_status(200, "60", NOW_US).retry_after_us is None
    assert of_status(503, "60", NOW_US).retry_after_us == 60 * S
    assert of_status(404, "60", NOW_US).retry_after_us == 60 * S
