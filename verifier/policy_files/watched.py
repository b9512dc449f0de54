"""Keeps the database up with policy files while a process runs: no restart for a new policy.

Files are polled by content: links that are exchanged as a whole (a mounted ConfigMap), editors and
`git pull` all look the same. A change counts once it was seen twice, so that half a file is never
read; a set of files that is wrong changes nothing, and is told of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Event, Thread
from typing import Final

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import Clock, SystemClock
from collector.db.engine import as_our_error, disposing, open_engine, writing
from collector.errors import MirrorproofError, UsageError
from collector.log import Throttle, get_logger
from collector.settings import Settings
from verifier.policies.read import policies_in, read_files
from verifier.policy_files.declared import declare, note_trouble

Files = list[tuple[str, bytes]]


class PolicyFiles:
    """Policy files, and what the database knows of them.

    Args:
        engine: The database.
        paths: Files and folders.
        clock: Where the time comes from.
        tell: Called with what is wrong with the files, or empty words once nothing is.
    """

    def __init__(
        self,
        engine: Engine,
        paths: Sequence[Path],
        clock: Clock,
        tell: Callable[[str], object] = lambda _words: None,
    ) -> None:
        self._engine: Final = engine
        self._paths: Final = tuple(paths)
        self._clock: Final = clock
        self._tell: Final = tell
        self._throttle: Final = Throttle()
        self._log = get_logger(component="policies")
        self._seen = b""
        self._done = b""

    def look(self) -> None:
        """One look at the files; records what they declare once they rest.

        Raises:
            Retryable, UsageError: The database; the next look tries again.
        """
        files, trouble = self._read()
        seen = _digest(files, trouble)
        rests, self._seen = seen == self._seen, seen
        if not rests or seen == self._done:
            return
        try:
            self._take(files, trouble)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        self._done = seen

    def _read(self) -> tuple[Files, str]:
        try:
            return read_files(self._paths), ""
        except UsageError as error:
            return [], str(error)

    def _take(self, files: Files, trouble: str) -> None:
        try:
            if trouble:
                raise UsageError(trouble)
            policies = policies_in(files, self._paths)
        except UsageError as error:
            self._log.error(
                "policy_files_refused",
                reason=str(error),
                effect="the versions before stay in force",
            )
            self._tell(str(error))
            with writing(self._engine) as connection:
                note_trouble(connection, self._paths, str(error))
            return
        with writing(self._engine) as connection:
            changes = declare(connection, self._paths, policies, self._clock.now_us())
        self._tell("")
        if changes.recorded or changes.ended:
            self._log.info("policies_changed", **msgspec.to_builtins(changes))

    def run(self, stop: Event, every_s: float) -> None:
        """Looks until `stop` is set; a database that is away is waited for."""
        while not self._clock.wait(stop, every_s):
            try:
                self.look()
            except MirrorproofError as error:
                if self._throttle.ready("policies_not_recorded", self._clock.monotonic()):
                    self._log.warning("policies_not_recorded", reason=str(error))


def start(
    settings: Settings,
    paths: Sequence[Path],
    stop: Event,
    tell: Callable[[str], object] = lambda _words: None,
) -> None:
    """Watches policy files in a thread of its own, until `stop` is set."""

    def run() -> None:
        with disposing(open_engine(settings.database.address())) as engine:
            files = PolicyFiles(engine, paths, SystemClock(), tell)
            files.run(stop, settings.collector.policy_refresh_s)

    Thread(target=run, name="policies", daemon=True).start()


def _digest(files: Files, trouble: str) -> bytes:
    """Tells contents apart; names count, as messages name them."""
    found = blake2b(trouble.encode("utf-8", "replace"))
    for name, content in files:
        found.update(f"\n{len(name)} {len(content)} {name}".encode("utf-8", "replace"))
        found.update(content)
    return found.digest()
