"""Certificates: what was signed is found again, and any change is seen."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, delete, update

from collector.db.engine import open_engine, writing
from collector.errors import InputError, UsageError
from tests.api import asking, services_of
from tests.settling import NOW, SECOND, Given, World, make_policy, request
from verifier.certified import certify, check
from verifier.tables import chain_head, settled_window
from verifier.times import iso_time

pytestmark = pytest.mark.integration
NAME = "weather/forecast"


@pytest.fixture
def world(migrated_database_url: str) -> Iterator[World]:
    """Three settled windows, a lost copy in the second."""
    engine = open_engine(migrated_database_url)
    found = World(engine)
    found.declare(make_policy(("v1", 100)))
    lines = [line for n in range(3) for line in request(n, NOW + n * 10 * SECOND)]
    found.write([line for line in lines if (line.key, line.pod) != (1, "mirror0")])
    found.settle_all()
    yield found
    engine.dispose()


def made(engine: Engine) -> dict[str, Any]:
    """The certificate of all of it."""
    return certify(engine, NAME, iso_time(NOW), None)


def test_a_certificate_fits_the_database_it_is_of(world: World) -> None:
    """It says what is stated, and by which digests."""
    certificate = made(world.engine)

    assert (certificate["statement"], certificate["reason"]) == ("violated", "1 missing")
    assert certificate["sums"]["matched"] == 2
    assert certificate["recomputable"]["from_lines"] is True
    assert check(world.engine, certificate) == {"policy": NAME, "misfits": [], "revised": 0}


def test_the_api_gives_the_same_certificate(world: World) -> None:
    """Signed by the same key."""
    with asking(services_of(world.engine, world.now_us)) as api:
        answer = api.get("/api/v1/certificate", params={"policy": NAME, "since": iso_time(NOW)})

    own = made(world.engine)
    assert answer.json()["digest"] == own["digest"]
    assert answer.json()["signature"]["public_key"] == own["signature"]["public_key"]
    assert check(world.engine, answer.json())["misfits"] == []


def test_what_is_not_settled_yet_is_told_apart_from_a_wrong_question(world: World) -> None:
    """Whoever asks again later gets it; a range that is named is certified as not proven."""
    late_us = world.now_us + 3_600 * SECOND
    since = iso_time(world.now_us)
    with asking(services_of(world.engine, late_us)) as api:

        def get(**more: str) -> Any:
            return api.get("/api/v1/certificate", params={"policy": NAME} | more)

        early, named = get(since=since), get(since=since, until=iso_time(late_us))
        future = get(since=iso_time(late_us + SECOND))

    assert (early.status_code, early.json()["type"]) == (409, "urn:mirrorproof:problem:not-yet")
    assert "nothing of weather/forecast is settled since" in early.json()["detail"]
    assert (named.status_code, named.json()["statement"]) == (200, "not_proven")
    assert future.status_code == 422
    with pytest.raises(UsageError, match="settling has come to"):
        certify(world.engine, NAME, since, None)


def test_a_late_line_is_no_misfit(world: World) -> None:
    """The windows of then are still there beside their corrections."""
    certificate = made(world.engine)
    world.write([Given(pod="mirror0", key=1, start_us=NOW + 10 * SECOND + 2_000)])
    world.settle_all()

    assert check(world.engine, certificate) == {"policy": NAME, "misfits": [], "revised": 1}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("statement",), "proven"),
        (("sums", "missing"), 0),
        (("until_us",), NOW),
        (("signature", "value"), "AAAA"),
        (("signature", "algorithm"), "none"),
    ],
)
def test_a_changed_certificate_is_seen(world: World, path: tuple[str, ...], value: Any) -> None:
    """Whatever was changed, the signature does not fit."""
    certificate = copy.deepcopy(made(world.engine))
    inner = certificate
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value

    assert "its signature does not fit" in check(world.engine, certificate)["misfits"][0]


def test_a_changed_database_is_seen(world: World) -> None:
    """Even where the last windows were cut off together with the chain's end."""
    certificate = made(world.engine)
    with writing(world.engine) as connection:
        c = settled_window.c
        connection.execute(delete(settled_window).where(c.start_us == NOW + 20 * SECOND))
        last = connection.scalars(
            settled_window.select().with_only_columns(c.digest).order_by(c.id.desc())
        ).first()
        connection.execute(update(chain_head).values(digest=last))

    found = check(world.engine, certificate)["misfits"]

    assert found == ["the head of the chain as it was then is not in the chain any more"]


def test_what_is_no_certificate_is_told(world: World) -> None:
    """And a policy that nothing is settled of has none."""
    with pytest.raises(InputError, match="is no certificate"):
        check(world.engine, {"form": "another"})
    with pytest.raises(UsageError, match="no policy 'none' was ever settled"):
        certify(world.engine, "none", "1d", None)
