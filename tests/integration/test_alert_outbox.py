"""The outbox on both databases: what is written, claimed, recorded, and in which order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from collector.db.engine import writing
from collector.db.partitions import Partitions
from collector.service.maintenance import Maintenance
from collector.settings.retention import RetentionSettings
from tests.clocks import HandClock
from tests.events import OPENED_US, make_event, resolved
from verifier.alerts.claims import Claim, claim, due, held_up, hurry
from verifier.alerts.forms.alertmanager import REPEAT
from verifier.alerts.outbox import State, enqueue
from verifier.alerts.outcome import Outcome, Result, failed, of_status
from verifier.alerts.records import record
from verifier.alerts.repeat import Repeat
from verifier.alerts.schedule import TRIPS_AT
from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.incidents.event import Event, Kind, Severity
from verifier.retention import ages

pytestmark = pytest.mark.integration
NOW = OPENED_US
S = 1_000_000
OK = of_status(200)


def declare(engine: Engine, name: str, wants: str = "{}", **changed: Any) -> None:
    """Makes an endpoint known."""
    row = {
        "name": name,
        "origin": "settings",
        "form": "standard-webhooks",
        "wants": wants,
        "fingerprint": "",
        "created_us": NOW,
        **changed,
    }
    with writing(engine) as connection:
        connection.execute(insert(alert_endpoint).values(row))


def tell(engine: Engine, event: Event, now_us: int = NOW) -> int:
    """Enqueues in a transaction of its own."""
    with writing(engine) as connection:
        return enqueue(connection, event, now_us)


def rows(engine: Engine) -> list[Any]:
    """All messages."""
    with engine.connect() as connection:
        return list(connection.execute(select(alert_message).order_by(alert_message.c.id)))


# --- what is written


def test_every_enabled_endpoint_that_wants_an_event_gets_a_message(engine: Engine) -> None:
    """Filters and switches are those of the endpoint."""
    declare(engine, "all")
    declare(engine, "leaks", '{"kinds":["leak"]}')
    declare(engine, "off", disabled_us=NOW, disabled_reason="410 Gone")

    assert tell(engine, make_event()) == 1
    assert tell(engine, make_event(kind=Kind.LEAK, incident_id=8)) == 2
    assert [row.endpoint for row in rows(engine)] == ["all", "all", "leaks"]


def test_without_endpoints_nothing_is_written(engine: Engine) -> None:
    """Nobody listens, and that is no error."""
    assert tell(engine, make_event()) == 0
    assert rows(engine) == []


def test_the_same_event_is_written_once(engine: Engine) -> None:
    """A decision that is made again, after a crash, tells nothing twice."""
    declare(engine, "all")
    tell(engine, make_event())

    assert tell(engine, make_event()) == 0
    assert len(rows(engine)) == 1


def test_what_is_told_by_a_clock_that_is_ahead_is_due_at_once(engine: Engine) -> None:
    """The time of settling does not go back with a clock that was set back; alerts do not wait."""
    declare(engine, "all")
    tell(engine, make_event(), NOW + 3_600 * S)

    with writing(engine) as connection:
        assert due(connection, ["all"], NOW) == {"all": 1}
        assert claim(connection, "all", NOW, lease_us=S, concurrency=1) is not None


def test_what_is_rolled_back_is_not_told(engine: Engine) -> None:
    """The message belongs to the transaction that decides."""
    declare(engine, "all")
    connection = engine.connect()
    with connection.begin() as transaction:
        assert enqueue(connection, make_event(), NOW) == 1
        transaction.rollback()
    connection.close()

    assert rows(engine) == []


def test_a_resolution_reaches_whoever_heard_of_the_incident(engine: Engine) -> None:
    """Although it is less severe now than the endpoint asks for."""
    declare(engine, "pager", '{"least_severity":"critical"}')
    tell(engine, make_event())

    assert tell(engine, resolved(severity=Severity.WARNING)) == 1
    assert tell(engine, resolved(incident_id=8, severity=Severity.WARNING)) == 0


# --- what is claimed


def take(engine: Engine, name: str = "a", now_us: int = NOW, concurrency: int = 2) -> Claim | None:
    """Claims in a transaction of its own."""
    with writing(engine) as connection:
        return claim(connection, name, now_us, lease_us=60 * S, concurrency=concurrency)


def took(engine: Engine, name: str = "a", now_us: int = NOW) -> Claim:
    """Claims what must be there."""
    found = take(engine, name, now_us)
    assert found is not None
    return found


def end(
    engine: Engine,
    done: Claim,
    result: Result = OK,
    now_us: int = NOW,
    repeat: Repeat | None = None,
) -> State | None:
    """Records in a transaction of its own."""
    with writing(engine) as connection:
        return record(connection, done, result, now_us, repeat=repeat)


def endpoint(engine: Engine, name: str = "a") -> Any:
    """An endpoint's row."""
    with engine.connect() as connection:
        return connection.execute(select(alert_endpoint).where(alert_endpoint.c.name == name)).one()


def test_a_message_is_claimed_once(engine: Engine) -> None:
    """Until the claim expires; then it is sent again under the same id."""
    declare(engine, "a")
    tell(engine, make_event())
    first = took(engine)

    assert take(engine) is None
    again = took(engine, now_us=NOW + 60 * S)
    assert (again.id, again.event.id, again.attempt) == (first.id, "inc_7_1", 2)


def test_an_expired_claim_records_nothing(engine: Engine) -> None:
    """Whoever holds the next one does."""
    declare(engine, "a")
    tell(engine, make_event())
    first = took(engine)
    again = took(engine, now_us=NOW + 60 * S)

    assert end(engine, first, failed("time-out"), NOW + 61 * S) is None
    assert end(engine, again, OK, NOW + 61 * S) is State.DELIVERED
    assert end(engine, first, failed("time-out"), NOW + 62 * S) is None
    assert [row.state for row in rows(engine)] == ["delivered"]


def test_no_endpoint_gets_more_at_once_than_it_may(engine: Engine) -> None:
    """Counted over all processes."""
    declare(engine, "a")
    for number in range(3):
        tell(engine, make_event(incident_id=number))
    found = [take(engine) for _ in range(3)]

    assert [one is not None for one in found] == [True, True, False]
    assert found[0] is not None
    end(engine, found[0])
    assert take(engine) is not None


def test_threads_that_claim_together_get_different_messages(engine: Engine) -> None:
    """Each message is sent by one of them."""
    declare(engine, "a")
    for number in range(40):
        tell(engine, make_event(incident_id=number))
    got: list[int] = []

    def work() -> None:
        while found := take(engine, concurrency=4):
            got.append(found.id)
            end(engine, found)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result(60)

    assert sorted(got) == [row.id for row in rows(engine)]
    assert endpoint(engine).delivered == 40


def test_a_resolution_never_overtakes_what_came_before(engine: Engine) -> None:
    """Not while that is on its way, and not while it waits for its next attempt."""
    declare(engine, "a")
    tell(engine, make_event())
    tell(engine, resolved())
    first = took(engine)
    assert take(engine) is None
    end(engine, first, failed("time-out"))
    assert take(engine) is None

    later = NOW + 5 * S
    assert end(engine, took(engine, now_us=later), OK, later) is State.DELIVERED
    assert took(engine, now_us=later).event.status == "resolved"


def test_other_incidents_and_endpoints_do_not_wait(engine: Engine) -> None:
    """Order is of one incident at one endpoint."""
    declare(engine, "a")
    declare(engine, "b")
    tell(engine, make_event())
    tell(engine, make_event(incident_id=8))
    took(engine)

    assert took(engine).event.incident_id == 8
    assert took(engine, "b").event.incident_id == 7


def test_news_have_what_holds_them_up_tried_again(engine: Engine) -> None:
    """Once: the schedule may say in a day."""
    declare(engine, "a")
    tell(engine, make_event())
    end(engine, took(engine), failed("time-out"))
    later = NOW + S
    tell(engine, resolved(), later)

    def hurried() -> int:
        with writing(engine) as connection:
            numbers = held_up(connection, ["a"], later)
            hurry(connection, numbers, later)
            return len(numbers)

    assert hurried() == 1
    end(engine, took(engine, now_us=later), failed("time-out"), later)
    assert hurried() == 0
    assert take(engine, now_us=later) is None


def test_what_is_due_is_counted_by_endpoint(engine: Engine) -> None:
    """Those that are disabled, that rest, or that nobody asked for are left out."""
    for name in ("a", "b"):
        declare(engine, name)
    declare(engine, "resting", hold_us=NOW + S)
    tell(engine, make_event())
    tell(engine, make_event(incident_id=8))
    took(engine)
    with engine.connect() as connection:
        assert due(connection, ["a", "resting"], NOW) == {"a": 1}
        assert due(connection, ["a", "b", "resting"], NOW + S) == {"a": 1, "b": 2, "resting": 2}
        assert due(connection, [], NOW) == {}


# --- what is recorded


def test_success_is_recorded_with_the_answer(engine: Engine) -> None:
    """In the message, and for the endpoint."""
    declare(engine, "a", failures=3)
    tell(engine, make_event())
    end(engine, took(engine), OK, NOW + S)
    (row,) = rows(engine)
    known = endpoint(engine)

    assert (row.state, row.last_status, row.finished_us) == ("delivered", 200, NOW + S)
    assert (known.failures, known.delivered, known.last_success_us) == (0, 1, NOW + S)


def test_a_failure_is_recorded_with_its_reason_and_the_next_time(engine: Engine) -> None:
    """The schedule's first wait is five seconds."""
    declare(engine, "a")
    tell(engine, make_event())
    end(engine, took(engine), failed("no answer within 15 s"))
    (row,) = rows(engine)

    assert (row.state, row.attempts, row.next_us) == ("pending", 1, NOW + 5 * S)
    assert row.last_reason == endpoint(engine).last_reason == "no answer within 15 s"


def test_after_the_last_attempt_a_message_is_dead_and_counted(engine: Engine) -> None:
    """Nothing vanishes: ten attempts, then it is there for people to see."""
    declare(engine, "a")
    tell(engine, make_event())
    now_us, attempts = NOW, 0
    while rows(engine)[0].finished_us is None:
        now_us = max(now_us, rows(engine)[0].next_us, endpoint(engine).hold_us or 0)
        end(engine, took(engine, now_us=now_us), failed("time-out"), now_us)
        attempts += 1

    assert attempts == 10
    assert rows(engine)[0].state == "dead"
    assert endpoint(engine).dead == 1


def test_what_is_refused_is_dead_at_once(engine: Engine) -> None:
    """And holds up nothing."""
    declare(engine, "a")
    tell(engine, make_event())
    tell(engine, resolved())

    assert end(engine, took(engine), of_status(400)) is State.DEAD
    assert took(engine).event.status == "resolved"


def test_gone_disables_the_endpoint(engine: Engine) -> None:
    """What waited is dropped, and new events do not go there."""
    declare(engine, "a")
    tell(engine, make_event())
    tell(engine, resolved())
    end(engine, took(engine), of_status(410), NOW + S)

    assert [row.state for row in rows(engine)] == ["dead", "dropped"]
    assert (endpoint(engine).disabled_us, endpoint(engine).disabled_reason) == (NOW + S, "410 Gone")
    assert tell(engine, make_event(incident_id=8)) == 0


def test_an_interrupted_attempt_is_made_again_at_once(engine: Engine) -> None:
    """It counts for nothing."""
    declare(engine, "a")
    tell(engine, make_event())
    end(engine, took(engine), Result(outcome=Outcome.INTERRUPTED, reason="we ended"))

    assert took(engine).attempt == 2
    assert endpoint(engine).failures == 0


def test_a_broken_receiver_rests_and_gets_everything_when_it_is_back(engine: Engine) -> None:
    """One message at a time tells whether it is; then all that waited are due."""
    declare(engine, "a")
    for number in range(TRIPS_AT + 1):
        tell(engine, make_event(incident_id=number))
    for _ in range(TRIPS_AT):
        end(engine, took(engine), failed("time-out"))
    assert take(engine) is None  # rests
    later = NOW + 60 * S
    probe = took(engine, now_us=later)
    assert take(engine, now_us=later) is None  # one at a time

    end(engine, probe, OK, later)

    with engine.connect() as connection:
        assert due(connection, ["a"], later) == {"a": TRIPS_AT}


def test_a_throttling_receiver_gets_nothing_for_as_long_as_it_asks(engine: Engine) -> None:
    """Also no other message."""
    declare(engine, "a")
    tell(engine, make_event())
    tell(engine, make_event(incident_id=8))
    end(engine, took(engine), of_status(429, "90"))

    assert take(engine, now_us=NOW + 89 * S) is None
    assert took(engine, now_us=NOW + 90 * S).event.incident_id == 8


# --- receivers that forget


def test_what_lasts_is_told_again_until_there_is_something_newer(engine: Engine) -> None:
    """Each minute; then the resolution, for six minutes."""
    declare(engine, "a")
    tell(engine, make_event())
    now_us = NOW
    for _ in range(3):
        assert end(engine, took(engine, now_us=now_us), OK, now_us, REPEAT) is State.REPEATING
        assert take(engine, now_us=now_us + 59 * S) is None
        now_us += 60 * S
    tell(engine, resolved(), now_us)
    resolution = took(engine, now_us=now_us)
    assert resolution.event.status == "resolved"
    assert take(engine, now_us=now_us) is None  # what is older waits
    sent = 0
    while end(engine, resolution, OK, now_us, REPEAT) is State.REPEATING:
        now_us, sent = now_us + 60 * S, sent + 1
        resolution = took(engine, now_us=now_us)

    assert sent == 6
    assert [row.state for row in rows(engine)] == ["delivered", "delivered"]
    assert endpoint(engine).delivered == 2


def test_a_repetition_that_fails_is_tried_again_and_never_dead(engine: Engine) -> None:
    """It was delivered once."""
    declare(engine, "a")
    tell(engine, make_event())
    end(engine, took(engine), OK, NOW, REPEAT)
    now_us = NOW + 7 * 86_400 * S
    again = took(engine, now_us=now_us)

    assert end(engine, again, of_status(400), now_us, REPEAT) is State.REPEATING
    assert rows(engine)[0].next_us == now_us + 60 * S


def test_what_was_never_accepted_is_tried_each_minute(engine: Engine) -> None:
    """A receiver that forgets was away; the schedule's hours are too long for it."""
    declare(engine, "a")
    tell(engine, make_event())
    end(engine, took(engine), failed("x"), NOW, REPEAT)
    now_us = NOW + 5 * S
    end(engine, took(engine, now_us=now_us), failed("x"), now_us, REPEAT)

    assert rows(engine)[0].next_us == now_us + 60 * S


def test_a_test_is_not_told_again(engine: Engine) -> None:
    """It ends by itself."""
    declare(engine, "a")
    tell(engine, make_event(test=True))

    assert end(engine, took(engine), OK, NOW, REPEAT) is State.DELIVERED


# --- what is kept


def test_messages_go_some_time_after_they_ended(engine: Engine) -> None:
    """What is still to be sent stays, however old it is."""
    declare(engine, "a")
    tell(engine, make_event())
    tell(engine, make_event(incident_id=8))
    end(engine, took(engine))

    def keep(days: float) -> int:
        own = RetentionSettings(alerts_days=10)
        clock = HandClock(NOW + round(days * 86_400 * S))
        Partitions(engine, "day").cover(clock.now_us())
        return Maintenance(engine, clock, ages(own), "day").once().dropped["alert_message"]

    assert keep(9.9) == 0
    assert keep(10.1) == 1
    assert keep(1_000) == 0
    assert [row.state for row in rows(engine)] == ["pending"]
