"""Sends one event to one endpoint, whatever the way it takes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock
from typing import Final

import msgspec
from fluent.sender import EventTime, FluentSender

from collector.clock import Clock
from collector.errors import UsageError
from verifier.alerts.endpoints import FLUENTD, STDOUT, Endpoint, fluent_address
from verifier.alerts.forms import HTTP_FORMS
from verifier.alerts.forms.form import About, Size
from verifier.alerts.forms.text import plain
from verifier.alerts.http import post
from verifier.alerts.lines import Deadline, Interrupted, Lines, SendFailed, resolve
from verifier.alerts.outcome import Outcome, Result, delivered, failed, of_status
from verifier.incidents.event import Event

Sender = Callable[[Event], Result]
"""Makes one attempt; never raises for what a receiver does."""

OnAttempt = Callable[[str, Outcome], object]


def ignore(_endpoint: str, _outcome: Outcome) -> None:
    """For who needs not be told of attempts."""


_WHOLE: Final = Size(examples=10, characters=4_000)
_STDOUT: Final = Lock()


class Senders:
    """Makes senders.

    Args:
        clock: Wall clock, for what is signed and for dates of receivers.
        lines: Where connections are remembered, so that they can be cut.
        source: Name of this installation.
        external_url: Where our page is; empty: nowhere.
        on_attempt: Told the endpoint and outcome of each attempt, by any thread.
    """

    def __init__(
        self,
        clock: Clock,
        lines: Lines,
        *,
        source: str = "",
        external_url: str = "",
        on_attempt: OnAttempt = ignore,
    ) -> None:
        self._clock: Final = clock
        self._lines: Final = lines
        self._source: Final = source
        self._external_url: Final = external_url
        self._on_attempt: Final = on_attempt

    def sender(self, endpoint: Endpoint) -> Sender:
        """What sends to an endpoint."""
        ways: dict[str, Callable[[Endpoint, Event], Result]] = {
            FLUENTD: self._to_fluentd,
            STDOUT: self._to_stdout,
        }
        way = ways.get(endpoint.form, self._by_http)

        def attempt(event: Event) -> Result:
            try:
                return way(endpoint, event)
            except Interrupted:
                return Result(outcome=Outcome.INTERRUPTED, reason="we ended")
            except (SendFailed, UsageError) as error:
                return failed(str(error))

        def send(event: Event) -> Result:
            result = attempt(event)
            self._on_attempt(endpoint.name, result.outcome)
            return result

        return send

    def _about(self) -> About:
        return About(
            source=self._source, external_url=self._external_url, now_us=self._clock.now_us()
        )

    def _by_http(self, endpoint: Endpoint, event: Event) -> Result:
        form = HTTP_FORMS[endpoint.form]
        request = form.request(event, endpoint.address, self._about())
        reply = post(request, endpoint.rules, self._lines)
        judged = form.judge(reply)
        if judged is not None:
            return judged
        return of_status(reply.status, reply.retry_after, self._clock.now_us())

    def _to_fluentd(self, endpoint: Endpoint, event: Event) -> Result:
        """Hands a copy to a Fluentd: that it arrived, its client cannot tell.

        A connection for each event: what its client buffers would be lost with us.
        """
        where = fluent_address(endpoint.address.url)
        rules = endpoint.rules
        deadline = Deadline(rules.timeout_s)
        addresses = resolve(
            where.host, where.port, deadline, self._lines, allow_private=rules.allow_private
        )
        usable = [address for address in addresses if ":" not in address]
        if not usable:
            raise SendFailed("fluent-logger speaks IPv4 only, and the host has no such address")
        sender = FluentSender(
            where.tag, host=usable[0], port=where.port, timeout=rules.timeout_s / 3
        )
        record = plain(event, self._about(), _WHOLE)
        done = sender.emit_with_time(None, EventTime.from_unix_nano(event.at_us * 1_000), record)
        if not done:
            sender.pendings = None  # or closing would try again
        reason = sender.last_error
        sender.close()
        if done:
            return delivered("handed over")
        return failed(f"cannot send: {getattr(reason, 'strerror', None) or 'no answer'}")

    def _to_stdout(self, _endpoint: Endpoint, event: Event) -> Result:
        line = msgspec.json.encode(plain(event, self._about(), _WHOLE)).decode()
        try:
            with _STDOUT:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
        except (OSError, ValueError) as error:
            return failed(f"cannot write: {getattr(error, 'strerror', None) or 'closed'}")
        return delivered()
