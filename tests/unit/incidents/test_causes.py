"""Why an incident may be: what its findings have in common and others have not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.settling import make_policy
from verifier.incidents.advice import advice
from verifier.incidents.causes import CauseCode, Fact, Scene, likely_cause
from verifier.incidents.event import Kind

SECOND = 1_000_000
USUAL = Fact(sender="web-a", primary="v2-a", path="/weather", method="GET", size_bytes=10)


def facts(count: int, **changes: Any) -> list[Fact]:
    """Facts that are all alike."""
    return [msgspec.structs.replace(USUAL, **changes)] * count


OTHERS = [
    *facts(50),
    *facts(50, sender="web-b", primary="v2-b", path="/maps", method="POST", size_bytes=2_000_000),
    *facts(50, sender="web-c", primary="v2-c", path="/", method="PUT"),
]


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        (facts(20, sender="web-c"), CauseCode.SENDER, "sent by web-c"),
        (facts(9, path="/maps", sender="", primary="", method=""), CauseCode.PATH, "path /maps"),
        (facts(9, method="PUT", path="", sender="", primary=""), CauseCode.METHOD, "method PUT"),
        (facts(9, primary="v2-c", path="", sender="", method=""), CauseCode.PRIMARY_POD, "v2-c"),
        (facts(9, size_bytes=5_000_000), CauseCode.LARGE_BODIES, "above 1 MiB"),
        (facts(4, sender="web-c"), CauseCode.NONE, ""),
        (OTHERS, CauseCode.NONE, ""),
    ],
)
def test_what_most_findings_share_and_others_do_not_is_the_cause(
    found: list[Fact], code: CauseCode, words: str
) -> None:
    """Few findings, or what everybody shares, say nothing."""
    cause = likely_cause(Scene(found=found, others=OTHERS))

    assert cause.code is code
    assert words in cause.text


def test_a_change_of_the_policy_comes_first() -> None:
    """What begins with it is most likely from it; an old change is not."""
    scene = Scene(found=facts(20, sender="web-c"), others=OTHERS, first_us=900 * SECOND, version=7)

    soon = likely_cause(msgspec.structs.replace(scene, changed_us=880 * SECOND))
    long_ago = likely_cause(msgspec.structs.replace(scene, changed_us=80 * SECOND))

    assert soon.code is CauseCode.POLICY_CHANGE
    assert "version 7" in soon.text
    assert long_ago.code is CauseCode.SENDER


def test_pods_of_the_mirror_that_fell_silent_are_named() -> None:
    """One of several, or all of them."""
    scene = Scene(found=facts(20), others=OTHERS, before={"v1-a": 30, "v1-b": 30, "v1-c": 1})

    one = likely_cause(msgspec.structs.replace(scene, since={"v1-a": 9}))
    all_of_them = likely_cause(scene)

    assert (one.code, "pod v1-b" in one.text) == (CauseCode.MIRROR_POD_GONE, True)
    assert all_of_them.code is CauseCode.MIRROR_GONE


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("code", list(CauseCode))
def test_there_is_advice_for_every_kind_and_cause(kind: Kind, code: CauseCode) -> None:
    """It names the clusters of the policy, and has no gaps."""
    text = advice(kind, code, make_policy(("v1", 100.0)))

    assert text.endswith(".")
    assert "{" not in text
    assert "cluster." not in text or "forecast.weather.svc.cluster.local" in text
