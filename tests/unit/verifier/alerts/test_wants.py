"""Which events an endpoint gets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.events import make_event
from verifier.alerts.wants import Wants
from verifier.incidents.event import Kind, Severity


@pytest.mark.parametrize(
    ("wants", "gets"),
    [
        ({}, True),
        ({"kinds": ("missing", "leak")}, True),
        ({"kinds": ("leak",)}, False),
        ({"policies": ("weather/*",)}, True),
        ({"policies": ("Weather/*",)}, False),
        ({"policies": ("shop/*", "weather/forecast-route")}, True),
        ({"least_severity": Severity.WARNING}, True),
        ({"least_severity": Severity.CRITICAL}, False),
        ({"kinds": ("missing",), "policies": ("shop/*",)}, False),
    ],
)
def test_every_condition_must_hold(wants: dict[str, Any], gets: bool) -> None:
    """What is not said lets everything through."""
    event = make_event(kind=Kind.MISSING, severity=Severity.WARNING)

    assert Wants(**wants).lets(event) is gets
