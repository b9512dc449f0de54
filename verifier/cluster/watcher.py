"""Keeps the database up with the cluster: one replica watches, by a lease of its own.

Threads follow the API server and tell a board; this one writes what follows from it, in
transactions that check the lease, so that a replica that was replaced writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Final

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import Clock
from collector.db.engine import as_our_error, reading, writing
from collector.errors import Fenced, Retryable
from collector.log import Throttle, get_logger
from collector.service.backoff import Backoff
from verifier.cluster import record
from verifier.cluster.api import Server
from verifier.cluster.board import Board, Place, Seen, places
from verifier.cluster.desired import Desired, desired
from verifier.cluster.following import FollowingThreads
from verifier.cluster.pod_lives import PodLives
from verifier.cluster.reflector import Reflector, Rules
from verifier.cluster.resources import POD, POLICY_KINDS, Name
from verifier.cluster.words import trouble_of
from verifier.settle import lease as leases
from verifier.settle.lease import DatabaseClock, Lease, Standby, database_now_us

LEASE: Final = "cluster"
_LONGEST_RESTS: Final = 5
_EVERY_S: Final = 30.0
"""So often all is compared anew: policies that files declare come and go, too."""


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """What a watcher is made of.

    Attributes:
        engine: The database, migrated.
        server: The API server.
        clock: For waiting.
        owner: The name of this process.
        lease_s: For how long its right holds without a sign of life.
        namespaces: What is watched; none: all.
        rules: What is taken.
        cluster: What pods of this cluster are called in the logs; empty: they name none.
        pods: Whether pods are watched, too.
        rest_s: What changes within so long (several objects of one command) is written together.
        database_now_us: The database's clock.
        tell: Told what is wrong, or empty words once nothing is.
        failed: Told of every failed question to the API server.
        written: Told after every write, with the number of objects by kind and of refused ones.
    """

    engine: Engine
    server: Server
    clock: Clock
    owner: str
    lease_s: float = 10.0
    namespaces: tuple[str, ...] = ()
    rules: Rules = Rules()
    cluster: str = ""
    pods: bool = True
    rest_s: float = 1.0
    database_now_us: DatabaseClock = database_now_us
    tell: Callable[[str], object] = lambda _words: None
    failed: Callable[[Place], object] = lambda _place: None
    written: Callable[[dict[str, int], int], object] = lambda _counts, _refused: None


class ClusterWatcher:
    """Watches. `run` takes a thread of its own, and makes one for each place."""

    def __init__(self, parts: Watching) -> None:
        self._parts: Final = parts
        self._places: Final = places(parts.namespaces, pods=parts.pods)
        self._lives: Final = PodLives(parts.cluster)
        self._standby: Final = Standby(self._ttl_us)
        self._backoff: Final = Backoff()
        self._throttle: Final = Throttle(60.0)
        self._said = ""
        self._log = get_logger(component="cluster")

    def run(self, stop: Event) -> None:
        """Watches until `stop` is set.

        Raises:
            UsageError: The database refuses us, or we do not know how to reach the API server.
            MirrorproofError: A thread that follows the API server died.
        """
        parts = self._parts
        while not stop.is_set():
            try:
                lease = self._take_lease()
                if lease is not None:
                    self._watch(lease, stop)
                self._backoff.succeeded()
                parts.clock.wait(stop, parts.rest_s)
            except Fenced as error:
                self._log.warning("cluster_lease_lost", reason=str(error))
            except Retryable as error:
                self._put_off(error, stop)

    @property
    def _ttl_us(self) -> int:
        return round(self._parts.lease_s * 1e6)

    def _take_lease(self) -> Lease | None:
        """The right to watch; None: another replica has it."""
        parts = self._parts
        try:
            with reading(parts.engine) as connection:
                seen = leases.look(connection, LEASE)
                now_us = parts.database_now_us(connection)
            silent = seen is not None and self._standby.is_silent(seen, parts.clock.monotonic())
            if seen is not None and not (silent or leases.is_due(seen, parts.owner, now_us)):
                return None
            with writing(parts.engine) as connection:
                now_us = parts.database_now_us(connection)
                lease = leases.take(
                    connection, parts.owner, now_us, self._ttl_us, seen if silent else None, LEASE
                )
        except SQLAlchemyError as error:
            raise as_our_error(error, parts.engine.url) from error
        if lease is not None:
            self._log.info("cluster_lease_taken", epoch=lease.epoch)
        return lease

    def _watch(self, lease: Lease, stop: Event) -> None:
        """Follows the API server and writes, as long as the lease is ours."""
        board = Board(self._places, self._expected())
        threads = FollowingThreads([self._reflector(one, board) for one in self._places], board)
        try:
            self._write_changes(lease, board, threads, stop)
        finally:
            threads.end()
            self._lives.forget()
            self._give_back(lease)

    def _reflector(self, place: Place, board: Board) -> Reflector:
        parts = self._parts
        return Reflector(parts.server, place, board, parts.rules, parts.clock, parts.failed)

    def _expected(self) -> dict[Place, set[Name]]:
        """What was there when somebody looked last: it does not end by lacking in a list."""
        try:
            with reading(self._parts.engine) as connection:
                titles = record.titles(connection)
                pods = self._lives.names(connection) if self._parts.pods else []
        except SQLAlchemyError as error:
            raise as_our_error(error, self._parts.engine.url) from error
        known: list[tuple[str, Name]] = [(POD.name, name) for name in pods]
        for title in titles:
            kind, _, full = title.partition(" ")
            namespace, _, name = full.partition("/")
            known.append((kind, (namespace, name)))
        return {
            place: {name for kind, name in known if place.holds(kind, name[0])}
            for place in self._places
        }

    def _write_changes(
        self, lease: Lease, board: Board, threads: FollowingThreads, stop: Event
    ) -> None:
        clock, rest_s = self._parts.clock, self._parts.rest_s
        written_s = renewed_s = clock.monotonic()
        first, changed_s = True, 0.0
        while not stop.is_set():
            threads.require_alive()
            is_new = board.changed.is_set()
            board.changed.clear()
            now_s = clock.monotonic()
            changed_s = changed_s or (now_s if is_new else 0.0)
            rests = changed_s and (not is_new or now_s - changed_s > _LONGEST_RESTS * rest_s)
            try:
                if rests or first or now_s - written_s > _EVERY_S:
                    self._write(lease, board)
                    first, changed_s = False, 0.0
                    written_s = renewed_s = clock.monotonic()
                elif now_s - renewed_s > self._parts.lease_s / 3:
                    self._renew(lease)
                    renewed_s = clock.monotonic()
                self._backoff.succeeded()
            except Retryable as error:
                # What is known is kept meanwhile: nobody has to list all of it again.
                self._put_off(error, stop)
            clock.wait(stop, rest_s)

    def _put_off(self, error: Retryable, stop: Event) -> None:
        clock = self._parts.clock
        wait_s = self._backoff.failed(clock.monotonic())
        if self._throttle.ready("database_away", clock.monotonic()):
            self._log.warning("cluster_not_recorded", reason=str(error), wait_s=round(wait_s, 2))
        clock.wait(stop, wait_s)

    def _write(self, lease: Lease, board: Board) -> None:
        """Writes what follows from what is known; nothing, if somebody else has the lease."""
        parts = self._parts
        seen = board.see()
        found = desired(seen.resources)
        found = msgspec.structs.replace(found, refused={**found.refused, **seen.broken})
        words = trouble_of(seen, found)
        try:
            with writing(parts.engine) as connection:
                now_us = parts.database_now_us(connection)
                leases.renew(connection, lease, now_us, self._ttl_us)
                changes = None
                if seen.ready:
                    is_gone = self._is_gone(seen)
                    changes = record.write(connection, found, is_gone, words, now_us)
                else:
                    record.note(connection, words)
                if parts.pods:
                    self._lives.write(
                        connection, seen.pods, seen.departed, now_us, self._is_held(seen)
                    )
        except SQLAlchemyError as error:
            self._lives.forget()
            raise as_our_error(error, parts.engine.url) from error
        board.forget(seen.departed)
        self._tell(words, changes, found)
        parts.written(board.counts(), len(found.refused))

    def _is_gone(self, seen: Seen) -> record.IsGone:
        """Gone is what lacks in a place that was listed, and what is watched no more."""
        policies = [place for place in self._places if place.kind in POLICY_KINDS]
        there = {one.title for one in seen.resources} | seen.broken.keys()

        def is_gone(kind: str, full: str) -> bool:
            namespace = full.partition("/")[0]
            held = [place for place in policies if place.holds(kind, namespace)]
            return f"{kind} {full}" not in there and all(one in seen.listed for one in held)

        return is_gone

    def _is_held(self, seen: Seen) -> Callable[[str], bool]:
        """Pods of places that are not listed yet do not end."""
        waiting = [one for one in self._places if one.kind == POD and one not in seen.listed]
        return lambda namespace: any(one.holds(POD.name, namespace) for one in waiting)

    def _renew(self, lease: Lease) -> None:
        try:
            with writing(self._parts.engine) as connection:
                now_us = self._parts.database_now_us(connection)
                leases.renew(connection, lease, now_us, self._ttl_us)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._parts.engine.url) from error

    def _give_back(self, lease: Lease) -> None:
        try:
            with writing(self._parts.engine) as connection:
                leases.give_back(connection, lease)
        except SQLAlchemyError:
            # It expires by itself.
            self._log.warning("cluster_lease_not_given_back")

    def _tell(self, words: str, changes: record.Changes | None, found: Desired) -> None:
        self._parts.tell(words)
        if words and words != self._said:
            self._log.warning(
                "cluster_not_read", reason=words, effect="what was said before stays in force"
            )
        self._said = words
        if changes is not None and (changes.recorded or changes.ended):
            self._log.info(
                "cluster_policies_changed",
                **msgspec.to_builtins(changes),
                not_mirrored=found.others,
            )
