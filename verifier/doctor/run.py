"""Has all checks run at the same time, each for a bounded time, none waiting for another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock, Thread
from typing import Final

import msgspec

from collector.clock import Clock
from collector.errors import MirrorproofError
from collector.settings import Settings
from verifier.doctor import database, kafka, outside
from verifier.doctor.finding import Finding, Status, fail, skipped

_CONNECT_MS: Final = 5_000

Report = Callable[[Finding], object]


class Group(msgspec.Struct, frozen=True):
    """Checks that go one after the other, as they share a connection.

    Attributes:
        names: What is reported at least, whatever happens.
        look: Reports findings; raises MirrorproofError: the rest cannot be seen.
    """

    names: tuple[str, ...]
    look: Callable[[Report], object]


class _Found:
    """What one group reported so far; nothing that comes after its time."""

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._is_over = False
        self._findings: list[Finding] = []
        self.why = ""

    def add(self, finding: Finding) -> None:
        with self._lock:
            if not self._is_over:
                self._findings.append(finding)

    def end(self) -> list[Finding]:
        with self._lock:
            self._is_over = True
            return self._findings


def examine(groups: Sequence[Group], timeout_s: float) -> list[Finding]:
    """Runs all groups; in their order, and within each in the order of its reports.

    Args:
        groups: What to run.
        timeout_s: How long all of it may take.
    """
    running = [(group, found := _Found(), _start(group, found)) for group in groups]
    deadline_s = time.monotonic() + timeout_s
    findings: list[Finding] = []
    for group, found, thread in running:
        thread.join(max(0.0, deadline_s - time.monotonic()))
        findings += _with_rest(group, found, timed_out=thread.is_alive(), timeout_s=timeout_s)
    return findings


def _start(group: Group, found: _Found) -> Thread:
    def run() -> None:
        try:
            group.look(found.add)
        except MirrorproofError as error:
            found.why = str(error)
        except Exception as error:
            found.why = f"{type(error).__name__}: {error}"

    # A daemon: what hangs must not keep the process.
    thread = Thread(target=run, name=f"doctor-{group.names[0]}", daemon=True)
    thread.start()
    return thread


def _with_rest(group: Group, found: _Found, *, timed_out: bool, timeout_s: float) -> list[Finding]:
    findings = found.end()
    told = {one.name for one in findings}
    rest = [name for name in group.names if name not in told]
    if not rest:
        return findings
    failed = [one.name for one in findings if one.status is Status.FAIL]
    if timed_out:
        do = "look whether it hangs; --timeout gives it more time"
        findings.append(fail(rest.pop(0), f"no answer within {timeout_s:g} s", do))
        failed = [findings[-1].name]
    elif not failed:
        do = "see its settings, and whether it runs"
        findings.append(fail(rest.pop(0), found.why or "nothing was seen", do))
        failed = [findings[-1].name]
    return [*findings, *(skipped(one, f"see {failed[-1]}") for one in rest)]


def groups_of(settings: Settings, clock: Clock) -> list[Group]:
    """What there is to look at, by the settings. Raises UsageError: receivers cannot be used."""
    timeout_ms = min(settings.kafka.connect_timeout_ms, _CONNECT_MS)
    reach = settings.kafka.model_copy(update={"connect_timeout_ms": timeout_ms})
    quick = settings.model_copy(update={"kafka": reach})
    places = partial(database.places_of, quick)
    look_at_kafka = partial(_kafka, quick, places, clock)
    return [
        Group(kafka.names(settings.kafka), look_at_kafka),
        Group(database.NAMES, partial(database.examine, quick, clock)),
        _alone("disk", partial(outside.disk, quick)),
        *(
            _alone(f"receiver {one.name}", partial(outside.receiver, one))
            for one in outside.receivers_of(settings)
        ),
        _alone("oidc", partial(outside.provider, quick)),
    ]


def _alone(name: str, check: Callable[[], Finding]) -> Group:
    return Group((name,), lambda report: report(check()))


def _kafka(settings: Settings, places: kafka.Places, clock: Clock, report: Report) -> None:
    kafka.examine(settings, places, clock.now_us(), report)
