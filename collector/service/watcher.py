"""Keeps up with the policies: which hosts to store lines about, without a restart."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.batch import Watch
from collector.clock import Clock
from collector.db.engine import as_our_error, writing
from collector.db.policies import acknowledge, sign_off, watched_hosts
from collector.hosts import HostTable
from collector.log import get_logger


class Watcher:
    """Asks the database for the watched hosts, and acknowledges what it knows there.

    Args:
        engine: The database.
        clock: Where the time comes from.
        owner: Who acknowledges.
        refresh_s: How often to ask.
    """

    def __init__(self, engine: Engine, clock: Clock, owner: str, refresh_s: float) -> None:
        self._engine = engine
        self._clock = clock
        self._owner = owner
        self._refresh_s = refresh_s
        self._started_us = clock.now_us()
        self._due_s = 0.0
        self._hosts: tuple[str, ...] | None = None
        self._log = get_logger(component="watcher")
        self.watch = Watch(HostTable(()), 0)

    @property
    def is_idle(self) -> bool:
        """Whether there is no host to watch: nothing should be read then."""
        return not self.watch.hosts.hosts

    def is_due(self) -> bool:
        """Whether it is time to ask again."""
        return self._hosts is None or self._clock.monotonic() >= self._due_s

    def refresh(self) -> None:
        """Asks again when it is time. Raises Retryable, UsageError: the database."""
        if not self.is_due():
            return
        now_s = self._clock.monotonic()
        try:
            with writing(self._engine) as connection:
                now_us = self._clock.now_us()
                found = watched_hosts(connection, now_us)
                # From the next record on this process uses it: nothing is read in between.
                version = found.policy_version_id
                acknowledge(connection, self._owner, version, self._started_us, now_us)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        self._due_s = now_s + self._refresh_s
        if found.hosts != self._hosts:
            self._log.info("hosts_watched", hosts=len(found.hosts), policy_version=version)
            if not found.hosts:
                self._log.warning("no_policy", effect="nothing is read until there is one")
            self._hosts = found.hosts
            self.watch = Watch(HostTable(found.hosts), version)
        elif version != self.watch.policy_version_id:
            self.watch = Watch(self.watch.hosts, version)

    def close(self) -> None:
        """Signs off; a database that does not answer is not waited for."""
        try:
            with writing(self._engine) as connection:
                sign_off(connection, self._owner)
        except SQLAlchemyError as error:
            self._log.warning("sign_off_failed", error=str(as_our_error(error, self._engine.url)))
