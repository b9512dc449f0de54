from __future__ import annotations

import random

from verifier.demo.traffic import view_page


def test_a_quarter_of_the_page_views_ask_twice_under_one_id() -> None:
    """Fan-outs share an id of their own; single calls leave the id to the proxy."""
    dice = random.Random(1)

    views = [view_page(number, dice) for number in range(2000)]

    doubles = [view for view in views if len(view) == 2]
    assert 0.2 < len(doubles) / len(views) < 0.3
    assert all(first.request_id == second.request_id != "" for first, second in doubles)
    assert all(not view[0].request_id for view in views if len(view) == 1)


def test_some_fan_outs_ask_twice_for_the_same() -> None:
    """Two requests that only their number tells apart: ids and paths are equal."""
    dice = random.Random(1)

    views = [view_page(number, dice) for number in range(2000)]

    assert any(len(view) == 2 and view[0] == view[1] for view in views)


def test_pages_ask_in_several_ways() -> None:
    """GET, HEAD and POST, for both paths of the route."""
    dice = random.Random(1)

    calls = [call for number in range(2000) for call in view_page(number, dice)]

    assert {call.method for call in calls} == {"GET", "HEAD", "POST"}
    assert {call.path.split("?")[0] for call in calls} == {"/weather", "/report"}
