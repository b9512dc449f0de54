"""What the probes are told, and when."""

from __future__ import annotations

from http import HTTPStatus

from collector.service.health import STALLED, Health
from collector.service.health_server import answer
from tests.clocks import HandClock


def started(clock: HandClock | None = None) -> Health:
    """A loop that found its broker."""
    health = Health(clock or HandClock(), hang_s=60.0)
    health.mend("starting")
    return health


def test_a_loop_that_moves_is_live_whatever_is_away() -> None:
    """A database that is away is no reason to restart anybody."""
    health = started()

    health.trouble("database_away", "connection refused")

    assert answer(health, "/livez") == (HTTPStatus.OK, {"status": "ok"})
    assert answer(health, "/readyz") == (
        HTTPStatus.SERVICE_UNAVAILABLE,
        {"status": "failing", "reasons": {"database_away": "connection refused"}},
    )


def test_what_was_mended_is_ready_again() -> None:
    """And what was never broken can be mended, too."""
    health = started()
    health.trouble("kafka_away", "no answer")

    health.mend("kafka_away")
    health.mend("kafka_away")

    assert answer(health, "/readyz?verbose") == (HTTPStatus.OK, {"status": "ok"})


def test_a_loop_that_stands_still_is_neither_live_nor_ready() -> None:
    """After its time; one step makes it live again."""
    clock = HandClock()
    health = started(clock)
    clock.advance(60.0)
    assert not health.is_hung()

    clock.advance(1.0)
    assert health.not_live() == {"hung": "no step of the loop for 61 s"}
    assert "hung" in health.not_ready()

    health.beat()
    assert health.not_live() == {}


def test_a_partition_that_nothing_mends_asks_for_another_process() -> None:
    """The only trouble but a hang that fails liveness."""
    health = started()

    health.trouble(STALLED, "logs/0 brings nothing")

    assert health.not_live() == {STALLED: "logs/0 brings nothing"}


def test_before_a_broker_answered_nothing_is_ready() -> None:
    """A new pod takes no part yet."""
    assert "starting" in Health(HandClock(), hang_s=60.0).not_ready()


def test_other_paths_say_which_there_are() -> None:
    """For people who try one in a browser."""
    status, said = answer(started(), "/")

    assert status == HTTPStatus.NOT_FOUND
    assert said["paths"] == ["/livez", "/healthz", "/readyz", "/metrics"]
