"""A small mesh whose verifier follows incidents, and traffic to drift."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert, select

from collector.db.engine import writing
from tests.settling import SECOND, Given, World, request
from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.incidents.event import Event
from verifier.incidents.rules import TellRules
from verifier.incidents.tables import incident
from verifier.incidents.watch import Watcher
from verifier.settle.tick import Ticked, Ticker
from verifier.settle.transaction import settling

Change = Callable[[int, list[Given]], Iterable[Given]]
"""What becomes of the lines of a request, by its number."""


def whole(_number: int, lines: list[Given]) -> list[Given]:
    """Nothing happens to them."""
    return lines


def uncopied(_number: int, lines: list[Given]) -> list[Given]:
    """The copy does not arrive."""
    return lines[:2]


@dataclass
class Watched(World):
    """A world whose ticks follow incidents.

    Attributes:
        tell: What is told.
        events: All notifications so far.
    """

    tell: TellRules = field(default_factory=TellRules)
    events: list[Event] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.watcher = Watcher(self.tell)

    def restart(self) -> None:
        """A new process, which knows nothing."""
        self.ticker = Ticker(self.rules, set_wise=self.set_wise)
        self.watcher = Watcher(self.tell)

    def tick(self) -> Ticked:
        """One tick, as `verifier.app` does it."""
        with settling(self.engine) as connection:
            ticked = self.ticker.tick(connection, self.now_us)
            events = self.watcher.watch(connection, ticked, self.now_us)
        self.events += events
        return ticked

    def traffic(self, seconds: int, a_second: int = 2, change: Change = whole) -> None:
        """Live traffic that ends now, in one batch; the clock goes on by as much."""
        begin = self.now_us
        lines: list[Given] = []
        for second in range(seconds):
            for item in range(a_second):
                self._number += 1
                start = begin + second * SECOND + item * SECOND // a_second
                lines += change(self._number, request(self._number, start))
        self.write(lines)
        self.now_us += seconds * SECOND

    def run(self, seconds: int, a_second: int = 2, change: Change = whole, step: int = 30) -> None:
        """Traffic, some seconds at a time, each followed by ticks."""
        for begin in range(0, seconds, step):
            self.traffic(min(step, seconds - begin), a_second, change)
            self.caught_up()
            while self.tick().more:
                pass

    def endpoint(self, name: str = "pager") -> None:
        """Somebody listens."""
        with writing(self.engine) as connection:
            connection.execute(
                insert(alert_endpoint).values(
                    name=name, origin="settings", form="standard_webhooks", wants="{}",
                    fingerprint="", created_us=self.now_us,
                )
            )  # fmt: skip

    def incidents(self) -> list[Any]:
        """All rows of incidents, in order."""
        with self.engine.connect() as connection:
            return list(connection.execute(select(incident).order_by(incident.c.id)))

    def told(self) -> list[tuple[str, str, str]]:
        """What was told: policy, kind and why."""
        return [(one.policy, one.kind.value, one.reason.value) for one in self.events]


def messages(connection: Connection) -> list[str]:
    """The ids of all messages, in order."""
    c = alert_message.c
    return list(connection.scalars(select(c.event_id).order_by(c.id)))
