"""Delivering goes on whatever receivers, databases and processes do."""

from __future__ import annotations

import base64
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import OperationalError
from standardwebhooks import Webhook

from collector.db.engine import open_engine, reading, writing
from collector.errors import UsageError
from tests.alerting import (
    SECRET,
    Time,
    expire_claims,
    make_deliverer,
    make_endpoint,
    states,
    tell,
    unfinished,
)
from tests.events import make_event, resolved
from tests.examples import MANY
from verifier.alerts import registry
from verifier.alerts.added import Guard, add, added
from verifier.alerts.deliver import Deliverer
from verifier.alerts.outcome import Result
from verifier.alerts.schedule import SPAN_US
from verifier.alerts.tables import alert_endpoint
from verifier.alerts.vault import Vault
from verifier.demo.receiver import Answer, Receiver
from verifier.settle.lease import database_now_us

pytestmark = pytest.mark.integration
REPOSITORY = Path(__file__).parents[2]
KEY = b"k" * 32
VAULT_KEYS = tuple(base64.b64encode(bytes([n]) * 32).decode() for n in (251, 255))
"""Two keys that seal, both with a letter of base64's common alphabet."""
"""How many times as many alerts and kills."""


@pytest.fixture
def sqlite(migrated_sqlite_url: str) -> Iterator[Engine]:
    """A migrated database, for what does not depend on its kind."""
    found = open_engine(migrated_sqlite_url)
    yield found
    found.dispose()


@contextmanager
def running(deliverer: Deliverer) -> Iterator[None]:
    """Has it deliver as long as the block; its failure is the test's."""
    stop, failures = threading.Event(), []

    def run() -> None:
        try:
            deliverer.run(stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert failures == []


def wait_until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for what must come; fails when it does not."""
    end_s = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end_s, "it did not come"
        time.sleep(0.02)


def ids(receiver: Receiver) -> list[str]:
    """The webhook ids that came."""
    return [received.headers["webhook-id"] for received in receiver.received]


def state(engine: Engine, name: str) -> registry.EndpointState:
    """Of an endpoint."""
    with reading(engine) as connection:
        return {one.name: one for one in registry.states(connection)}[name]


def test_what_is_told_arrives_signed_and_in_order(engine: Engine) -> None:
    """From the transaction to the receiver, on both databases."""
    with Receiver() as receiver:
        deliverer = make_deliverer(engine, [make_endpoint("hook", receiver.url)])
        tell(engine, *(make_event(incident_id=number) for number in range(10)))
        tell(engine, *(resolved(incident_id=number) for number in range(10)))
        with running(deliverer):
            wait_until(lambda: unfinished(engine) == 0)
        found = receiver.received

    order = ids(receiver)
    assert sorted(order) == sorted(f"inc_{n}_{m}" for n in range(10) for m in (1, 2))
    assert all(order.index(f"inc_{n}_1") < order.index(f"inc_{n}_2") for n in range(10))
    for received in found:
        Webhook(SECRET).verify(received.body, dict(received.headers))
    assert state(engine, "hook").delivered == 20


def test_a_receiver_that_hangs_holds_back_nobody_else(sqlite: Engine) -> None:
    """It answers only when the others have everything: nothing of it is needed for that."""
    released = threading.Event()

    def hang(_received: Any) -> Answer:
        released.wait(60)
        return Answer()

    with Receiver(hang) as slow, Receiver() as healthy:
        endpoints = [
            make_endpoint("slow", slow.url, timeout_s=30),
            make_endpoint("healthy", healthy.url),
        ]
        deliverer = make_deliverer(sqlite, endpoints)
        tell(sqlite, *(make_event(incident_id=number) for number in range(30)))
        with running(deliverer):
            assert len(healthy.wait_for(30, 60)) == 30
            assert len(slow.received) <= 2  # as many as may be on their way
            released.set()
            wait_until(lambda: unfinished(sqlite) == 0)

    assert Counter(ids(slow)) == Counter(ids(healthy))


def test_processes_that_deliver_together_send_each_message_once(engine: Engine) -> None:
    """Whoever claims it sends it."""
    with Receiver() as receiver:
        endpoint = make_endpoint("hook", receiver.url, concurrency=4)
        first, second = (make_deliverer(engine, [endpoint]) for _ in range(2))
        tell(engine, *(make_event(incident_id=number) for number in range(60)))
        with running(first), running(second):
            wait_until(lambda: unfinished(engine) == 0)

    assert Counter(ids(receiver)) == Counter(f"inc_{number}_1" for number in range(60))


def flap(engine: Engine, messages: int) -> list[str]:
    """Delivers to a receiver that fails in every way in turn; returns the ids that it took."""
    taken, seen, lock, clock = [], Counter[str](), threading.Lock(), Time()
    faults = itertools.cycle([500, 404, 429, 302, 503, 401, 504, 408])

    def answer(received: Any) -> Answer:
        message = received.headers["webhook-id"]
        with lock:
            seen[message] += 1
            # Up to six failures each; ten attempts there are.
            if seen[message] > zlib.crc32(message.encode()) % 7:
                taken.append(message)
                return Answer()
            status = next(faults)
        return Answer(status=status, headers={"Retry-After": "1"} if status == 429 else {})

    def done() -> bool:
        clock.fly(engine)
        return unfinished(engine) == 0

    with Receiver(answer) as receiver:
        endpoint = make_endpoint("hook", receiver.url, concurrency=4)
        deliverer = make_deliverer(engine, [endpoint], clock)
        tell(engine, *(make_event(incident_id=number) for number in range(messages)))
        with running(deliverer):
            wait_until(done, 240 * MANY)
    return taken


def test_a_receiver_that_comes_and_goes_gets_everything_once(sqlite: Engine) -> None:
    """Whatever it answers meanwhile."""
    assert Counter(flap(sqlite, 60)) == Counter(f"inc_{number}_1" for number in range(60))
    assert set(states(sqlite)) == {"delivered"}


@pytest.mark.slow
@pytest.mark.timeout(600 * MANY)
def test_of_many_alerts_none_is_lost(sqlite: Engine) -> None:
    """Through a receiver that fails three times in four."""
    taken = Counter(flap(sqlite, 300 * MANY))

    assert taken == Counter(f"inc_{number}_1" for number in range(300 * MANY))


def test_when_we_end_a_receiver_that_hangs_is_left(sqlite: Engine) -> None:
    """Soon, and the message goes out again at once when the next process starts."""
    released = threading.Event()

    def hang(_received: Any) -> Answer:
        released.wait(60)
        return Answer()

    with Receiver(hang) as receiver:
        endpoint = make_endpoint("hook", receiver.url, timeout_s=30)
        tell_before = make_deliverer(sqlite, [endpoint])
        tell(sqlite, make_event())
        with running(tell_before):
            receiver.wait_for(1)
        assert states(sqlite) == ["pending"]
        released.set()
        with running(make_deliverer(sqlite, [endpoint])):
            wait_until(lambda: unfinished(sqlite) == 0)

    assert ids(receiver) == ["inc_7_1", "inc_7_1"]
    assert state(sqlite, "hook").failures == 0


def test_a_record_that_the_database_refuses_for_a_moment_is_written_later(sqlite: Engine) -> None:
    """The message is not sent twice for that."""
    failing = iter([True, True, False])

    def fail(*args: Any) -> None:
        statement, parameters = args[2], args[3]
        recording = statement.startswith("UPDATE alert_message") and "delivered" in str(parameters)
        if recording and next(failing, False):
            raise OperationalError(statement, {}, Exception("database is locked"))

    with Receiver() as receiver:
        deliverer = make_deliverer(sqlite, [make_endpoint("hook", receiver.url)])
        tell(sqlite, make_event())
        event.listen(sqlite, "before_cursor_execute", fail)
        with running(deliverer):
            wait_until(lambda: unfinished(sqlite) == 0)

    assert ids(receiver) == ["inc_7_1"]


def test_a_fault_of_ours_is_a_failed_attempt(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither lost nor tried all the time."""

    def broken(_self: Any, _endpoint: Any, _event: Any) -> Result:
        raise ZeroDivisionError

    monkeypatch.setattr("verifier.alerts.senders.Senders._by_http", broken)
    deliverer = make_deliverer(sqlite, [make_endpoint("hook", "http://127.0.0.1:9")])
    tell(sqlite, make_event())
    with running(deliverer):
        wait_until(lambda: state(sqlite, "hook").failures == 1)

    assert states(sqlite) == ["pending"]
    assert state(sqlite, "hook").last_reason == "mirrorproof failed to make it; see its log"


# --- endpoints that come and go


def declare_again(engine: Engine, url: str) -> None:
    """Starts a process with the endpoint at this address in its settings."""
    with writing(engine) as connection:
        registry.declare(connection, [make_endpoint("hook", url)], KEY, 1)


def test_gone_disables_until_the_endpoint_leads_elsewhere(engine: Engine) -> None:
    """A restart alone does not enable it."""
    with Receiver(lambda _received: Answer(status=410)) as receiver:
        declare_again(engine, receiver.url)
        deliverer = make_deliverer(engine, [])
        tell(engine, make_event())
        deliverer.leave()
        with writing(engine) as connection:
            registry.disable(connection, "hook", "410 Gone", 2)
    declare_again(engine, receiver.url)
    assert state(engine, "hook").disabled_reason == "410 Gone"

    declare_again(engine, "http://127.0.0.1:10/other")

    assert state(engine, "hook").disabled_us is None
    assert states(engine) == ["dropped"]


def added_to(engine: Engine, hosts: tuple[str, ...] = ("127.0.0.*",), **given: Any) -> str:
    """Adds an endpoint as the API does."""
    own = {
        "name": "added",
        "form": "standard-webhooks",
        "url": "http://127.0.0.1:9/SECRET",
        "allow_http": True,
        "allow_private": True,
        **given,
    }
    guard = Guard(KEY, Vault(VAULT_KEYS[0]), hosts)
    with writing(engine) as connection:
        return add(connection, own, guard, 1)


def config_of(engine: Engine, name: str) -> str:
    """What the database keeps of an endpoint."""
    with reading(engine) as connection:
        query = select(alert_endpoint.c.config).where(alert_endpoint.c.name == name)
        return str(connection.scalars(query).one())


def test_an_endpoint_that_the_api_adds_is_delivered_to(engine: Engine) -> None:
    """By every process, with what the database knows of it; what is shown has no secret."""
    with Receiver() as receiver:
        assert added_to(engine, url=receiver.url, secret=SECRET) == "added"
        assert SECRET not in config_of(engine, "added")
        assert receiver.url not in config_of(engine, "added")
        tell(engine, make_event())
        with running(make_deliverer(engine, [], vault=Vault(VAULT_KEYS[0]))):
            wait_until(lambda: unfinished(engine) == 0)
        (received,) = receiver.received

    Webhook(SECRET).verify(received.body, dict(received.headers))
    assert "SECRET" not in str(state(engine, "added"))
    assert SECRET not in str(state(engine, "added"))
    with writing(engine) as connection:
        assert registry.remove(connection, "added", 2) == 0
    tell(engine, make_event(incident_id=8))
    assert unfinished(engine) == 0


def test_an_endpoint_that_cannot_be_opened_says_so_and_waits(sqlite: Engine) -> None:
    """Its messages stay for a process that has the key; others are delivered meanwhile."""
    added_to(sqlite)
    tell(sqlite, make_event())
    deliverer = make_deliverer(sqlite, [], vault=Vault(VAULT_KEYS[1]))
    assert deliverer.turn() == 0
    deliverer.leave()

    assert "alerts.key_file does not have" in str(state(sqlite, "added").last_reason)
    assert unfinished(sqlite) == 1
    with reading(sqlite) as connection:
        assert "not set here" in added(connection, Vault()).closed["added"]


def test_keys_of_the_vault_are_exchanged_while_it_runs(sqlite: Engine) -> None:
    """A deliverer that has both seals all with the first: the old one may go."""
    added_to(sqlite)
    make_deliverer(sqlite, [], vault=Vault(f"{VAULT_KEYS[1]} {VAULT_KEYS[0]}")).leave()

    with reading(sqlite) as connection:
        found = added(connection, Vault(VAULT_KEYS[1]))
    assert [one.name for one in found.endpoints] == ["added"]
    assert found.closed == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "http://elsewhere.example/SECRET"}, "not among alerts.api_hosts"),
        ({"form": "stdout", "url": None}, "not among alerts.api_hosts"),
        ({"secret_file": "/etc/passwd"}, "secret_file is only for the settings"),
        ({"url": "http://127.0.0.1:9/a http://127.0.0.1:9/b"}, "url: give one"),
        ({"url": "ftp://127.0.0.1/SECRET"}, "no URL of http or https"),
        ({"form": "fax"}, "form: "),
        ({"secret": "whsec_SECRET"}, "secret"),
        ({"kinds": ["mising"]}, "'mising' is none of"),
        ({"name": "hook"}, "there is an endpoint hook already"),
    ],
)
def test_what_the_api_must_not_add_is_refused(
    sqlite: Engine, given: dict[str, Any], said: str
) -> None:
    """In words that name the field, without what was given as a secret."""
    declare_again(sqlite, "http://127.0.0.1:9/x")
    with pytest.raises(UsageError) as caught:
        added_to(sqlite, **given)

    assert said in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_an_endpoint_is_enabled_by_hand(sqlite: Engine) -> None:
    """It gets what happens from then on; others of that name there are none."""
    declare_again(sqlite, "http://127.0.0.1:9/x")
    with writing(sqlite) as connection:
        registry.disable(connection, "hook", "by hand", 1)
        registry.enable(connection, "hook")
    tell(sqlite, make_event())

    assert unfinished(sqlite) == 1
    with writing(sqlite) as connection, pytest.raises(UsageError, match="no endpoint 'nobody'"):
        registry.enable(connection, "nobody")


def test_what_nobody_delivers_is_given_up_and_said(sqlite: Engine) -> None:
    """An endpoint that is in no settings any more, and was not removed."""
    declare_again(sqlite, "http://127.0.0.1:9/x")
    tell(sqlite, make_event())
    with writing(sqlite) as connection:
        now_us = database_now_us(connection)
        assert registry.expire(connection, now_us + SPAN_US) == 0
        assert registry.expire(connection, now_us + 2 * SPAN_US) == 1

    assert states(sqlite) == ["dead"]


def test_a_name_of_the_api_is_not_taken_over_by_the_settings(sqlite: Engine) -> None:
    """It would be called by other rules at once."""
    added_to(sqlite, name="hook")

    with pytest.raises(UsageError, match="hook was added through the API"):
        declare_again(sqlite, "http://127.0.0.1:9/x")


# --- processes that die


def deliver_and_die(engine: Engine, kills: int) -> list[str]:
    """Kills the delivering process -9 upon each of its first messages; returns the ids that came.

    In turn before it was answered, and right after.
    """
    processes: list[subprocess.Popen[bytes]] = []
    left = iter(range(kills))

    def answer(_received: Any) -> Answer:
        turn = next(left, None)
        if turn is not None:
            process = processes[-1]
            if turn % 2 == 0:
                os.kill(process.pid, signal.SIGKILL)
            else:
                threading.Timer(0.001 * (turn % 7), process.kill).start()
        return Answer()

    with Receiver(answer) as receiver:
        make_deliverer(engine, [make_endpoint("hook", receiver.url)]).leave()
        tell(engine, *(make_event(incident_id=number) for number in range(kills + 20)))
        url = engine.url.render_as_string(hide_password=False)
        command = [sys.executable, "-m", "tests.alerting", url, receiver.url]
        while unfinished(engine):
            processes.append(subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL))
            wait_until(
                lambda: processes[-1].poll() is not None or not unfinished(engine), seconds=120
            )
            processes[-1].kill()
            processes[-1].wait()
            expire_claims(engine)
    return ids(receiver)


def check(engine: Engine, came: list[str], kills: int) -> None:
    """Nothing is lost; what came twice came under the same id, at most once a kill."""
    wanted = {f"inc_{number}_1" for number in range(kills + 20)}
    assert set(came) == wanted
    assert len(came) - len(wanted) <= 2 * kills  # two threads may be at it
    assert set(states(engine)) == {"delivered"}


def test_killed_between_sending_and_recording_it_is_sent_again(sqlite: Engine) -> None:
    """At least once, under the same id."""
    came = deliver_and_die(sqlite, 2)

    check(sqlite, came, 2)
    assert max(Counter(came).values()) > 1


@pytest.mark.slow
@pytest.mark.timeout(600 * MANY)
def test_killed_many_times_nothing_is_lost(engine: Engine) -> None:
    """Whenever it is."""
    check(engine, deliver_and_die(engine, 10 * MANY), 10 * MANY)
