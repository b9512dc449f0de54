"""Follows the objects of one place: lists them, then watches what changes, for ever.

Source: Kubernetes API concepts: a watch goes on from the list's version; events and bookmarks
carry newer ones; 410 Gone asks for a new list.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Final

import msgspec

from collector.clock import Clock
from collector.errors import MirrorproofError, Retryable
from collector.log import Throttle, get_logger
from collector.service.backoff import Backoff
from verifier.cluster.api import (
    PAGE,
    Asked,
    Busy,
    Gone,
    NotAllowed,
    NotInstalled,
    Page,
    Server,
    Stream,
)
from verifier.cluster.board import Board, Object, Place
from verifier.cluster.events import name_of, read_change
from verifier.cluster.pods import read_pod
from verifier.cluster.resources import DESTINATION_RULE, HTTP_ROUTE, POD, Name, read_resource
from verifier.policies.node import one_line

_SHORT_S: Final = 1.0
"""A watch that ends so soon and brought nothing is a failure."""
_MOST_FAILURES: Final = 5
"""After so many watches in a row that failed, everything is listed again."""
_FEW: Final = 3
_REFUSED_S: Final = 30.0


class Rules(msgspec.Struct, frozen=True):
    """What is taken.

    Attributes:
        selector: Of labels, for what has routes.
        containers: A pod that has one of these counts.
    """

    selector: str = ""
    containers: tuple[str, ...] = ("istio-proxy",)


class Reflector:
    """Follows one place. `run` takes a thread of its own.

    Args:
        server: The API server.
        place: What to follow.
        board: Where it is told.
        rules: What is taken.
        clock: For waiting.
        failed: Told of every failure.
    """

    def __init__(
        self,
        server: Server,
        place: Place,
        board: Board,
        rules: Rules,
        clock: Clock,
        failed: Callable[[Place], object] = lambda _place: None,
    ) -> None:
        self._server: Final = server
        self._place: Final = place
        self._board: Final = board
        self._rules: Final = rules
        self._clock: Final = clock
        self._failed: Final = failed
        self._selector: Final = "" if place.kind in (DESTINATION_RULE, POD) else rules.selector
        self._api = place.kind.versions[0]
        self._limit = PAGE
        self._since = ""
        self._failures = 0
        self._stream: Stream | None = None
        self._backoff: Final = Backoff()
        self._throttle: Final = Throttle(60.0)
        self._log = get_logger(component="cluster")

    def run(self, stop: Event) -> None:
        """Follows until `stop` is set.

        Raises:
            UsageError: We do not know how to reach the server.
        """
        while not stop.is_set():
            try:
                self.step(stop)
                self._backoff.succeeded()
            except Retryable as error:
                self._clock.wait(stop, self._wait_s(error))

    def step(self, stop: Event) -> None:
        """A list, where one is needed, and one watch.

        Raises:
            Retryable: The server; what is known stays.
            UsageError: We do not know how to reach it.
        """
        if not self._since:
            self._since = self.list_all()
            self._failures = 0
        try:
            self._watch(stop)
            self._failures = 0
        except Gone:
            self._since = ""
            raise
        except Retryable:
            self._failures += 1
            if self._failures >= _MOST_FAILURES:
                self._since, self._failures = "", 0
            raise

    def close(self) -> None:
        """Ends a watch that is under way, from another thread."""
        stream = self._stream
        if stream is not None:
            stream.close()

    def list_all(self) -> str:
        """Lists the place as a whole, and tells the board; returns the list's version.

        Raises:
            Retryable: The server; the board knows what it knew.
        """
        place, version = self._place, ""
        objects: dict[Name, Object] = {}
        broken: dict[Name, str] = {}
        names: set[Name] = set()
        rest, first = "", True
        while first or rest:
            page = self._page(rest)
            for data in page.items:
                name, found, words = self._read(data)
                names.add(name)
                if words:
                    broken[name] = words
                elif found is not None:
                    objects[name] = found
            version, rest, first = version or page.version, page.rest, False
        self._require_gone(names)
        self._board.listed(place, objects, broken)
        return version

    def _page(self, rest: str) -> Page:
        """A part of the list, by the best version of the API that the server has."""
        kind, place = self._place.kind, self._place
        asked = Asked(self._api, place.namespace, self._selector, self._limit, rest)
        try:
            return self._server.page(kind, asked)
        except NotInstalled:
            last = kind.versions.index(self._api) + 1 == len(kind.versions)
            self._api = kind.versions[0 if last else kind.versions.index(self._api) + 1]
            if last or rest:
                raise
            return self._page(rest)
        except Gone:
            # Too slow: what it rested on expired between two parts. All at once, then.
            self._limit = 0 if rest else self._limit
            raise

    def _require_gone(self, found: set[Name]) -> None:
        """Makes sure that what a list lacks is gone.

        Rule: policies end by their resources' names, one by one; of pods, which come and go, some
        are asked for, and only where the list is empty.

        Raises:
            Retryable: Something is there all the same, so that the list is wrong.
        """
        place = self._place
        lacking = self._board.lacking(place, found)
        if place.kind == POD:
            lacking = [] if found else lacking[:_FEW]
        for namespace, name in lacking:
            asked = Asked(self._api, namespace)
            there = self._server.exists(place.kind, asked, name)
            if there and not self._selector:
                raise Retryable(
                    f"the list of {place} lacks {namespace}/{name}, which is there; nothing ends"
                )

    def _watch(self, stop: Event) -> None:
        began_s, place = self._clock.monotonic(), self._place
        asked = Asked(self._api, place.namespace, self._selector)
        stream = self._server.watch(place.kind, asked, self._since)
        # Whoever ends us sets `stop` first, then looks for a stream to close.
        self._stream, events = stream, 0
        self._board.trouble(place, "")
        try:
            for line in stream.lines() if not stop.is_set() else ():
                if stop.is_set():
                    return
                self._take(line)
                self._backoff.succeeded()
                events += 1
        except Retryable:
            if not stop.is_set():
                raise
        finally:
            self._stream = None
            stream.close()
        if not stop.is_set() and not events and self._clock.monotonic() - began_s < _SHORT_S:
            raise Retryable(f"watch of {place}: ended at once")

    def _take(self, line: bytes) -> None:
        """One event. Raises Gone: it cannot be understood, or says so; all is listed again."""
        try:
            event = read_change(line)
        except ValueError as error:
            raise Gone(f"an event of {self._place} cannot be read: {error}") from error
        if event.type == "ERROR":
            words = f"watch of {self._place}: {event.code} {one_line(event.message)[:300]}"
            raise Gone(words) if event.code in (0, 410) else Retryable(words)
        if event.type in ("ADDED", "MODIFIED"):
            self._board.put(self._place, *self._read(event.data))
        elif event.type == "DELETED":
            self._board.remove(self._place, event.name)
        elif event.type != "BOOKMARK":
            raise Gone(f"an event of {self._place} is of an unknown type: {event.type[:60]!r}")
        self._since = event.version or self._since

    def _read(self, data: bytes) -> tuple[Name, Object | None, str]:
        """Name, the object where it concerns us, and why it cannot be read; empty: it can."""
        try:
            name = name_of(data)
        except ValueError as error:
            raise Gone(f"an object of {self._place} cannot be read: {error}") from error
        try:
            if self._place.kind == POD:
                return name, read_pod(data, self._rules.containers), ""
            return name, read_resource(self._place.kind, self._api, data), ""
        except ValueError as error:
            return name, None, one_line(str(error))[:300]

    def _wait_s(self, error: MirrorproofError) -> float:
        """Tells of a failure; how long to wait after it, seconds."""
        now_s, place = self._clock.monotonic(), self._place
        lasting = isinstance(error, NotAllowed | NotInstalled)
        wait_s = self._backoff.failed(now_s)
        if isinstance(error, Busy):
            wait_s = max(wait_s, error.wait_s)
        if lasting:
            wait_s = max(wait_s, _REFUSED_S)
        self._failed(place)
        quiet = self._is_expected(error)
        self._board.trouble(place, "" if quiet else str(error), refused=lasting)
        if not quiet and self._throttle.ready(type(error).__name__, now_s):
            self._log.warning(
                "cluster_not_followed",
                place=str(place),
                reason=str(error),
                wait_s=round(wait_s, 2),
                effect="what was known stays in force",
            )
        return wait_s

    def _is_expected(self, error: MirrorproofError) -> bool:
        """Whether a failure is nothing to tell: versions expire, and few have the Gateway API."""
        if isinstance(error, NotInstalled):
            return self._place.kind == HTTP_ROUTE and not self._board.lacking(self._place, ())
        return isinstance(error, Gone) and self._backoff.failures == 1
