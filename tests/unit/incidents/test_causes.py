"""Why an incident may be: what its findings have in common and others have not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.settling import make_policy
from verifier.incidents.advice import advice
from verifier.incidents.causes import CauseCode, Copied, Fact, Scene, likely_cause
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


@pytest.mark.parametrize(
    ("stale", "said"),
    [(Copied(0, 200), True), (Copied(200, 200), True), (Copied(25, 200), False)],
)
def test_a_sender_whose_share_is_another_is_named(stale: Copied, said: bool) -> None:
    """Its proxy has other routes than all the others, whose share is the declared one."""
    senders = {"web-a": Copied(98, 1000), "web-b": Copied(52, 500), "web-c": stale}

    cause = likely_cause(Scene(senders=senders, declared=10.0))

    assert (cause.code is CauseCode.SENDER) == said
    assert ("web-c" in cause.text) == said


def test_where_all_shares_are_wrong_no_sender_is_named() -> None:
    """Nobody stands out."""
    senders = {"web-a": Copied(0, 1000), "web-b": Copied(0, 500)}

    assert likely_cause(Scene(senders=senders, declared=10.0)).code is CauseCode.NONE


def test_pods_of_unknown_version_are_named() -> None:
    """The one that received most, and how many more there are."""
    cause = likely_cause(Scene(found=facts(20), others=OTHERS, unknown=("web-x", "web-y")))

    assert cause.code is CauseCode.UNKNOWN_POD
    assert "pod web-x and 1 more" in cause.text


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
