"""The threads that follow the API server: they live and end together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event, Thread
from typing import Final

from collector.errors import MirrorproofError
from verifier.cluster.board import Board
from verifier.cluster.reflector import Reflector

_JOIN_S: Final = 5.0


class FollowingThreads:
    """The threads that follow the API server, one for each place.

    Args:
        reflectors: What each of them runs.
        board: Told when one died.
    """

    def __init__(self, reflectors: Sequence[Reflector], board: Board) -> None:
        self._ended: Final = Event()
        self._died: BaseException | None = None
        self._reflectors: Final = reflectors
        self._threads: Final = [
            Thread(target=self._follow, args=(one, board), name="cluster", daemon=True)
            for one in self._reflectors
        ]
        for thread in self._threads:
            thread.start()

    def _follow(self, reflector: Reflector, board: Board) -> None:
        try:
            reflector.run(self._ended)
        except BaseException as error:
            self._died = error
            board.changed.set()

    def require_alive(self) -> None:
        """Raises MirrorproofError: a thread died, and nobody follows its place."""
        if isinstance(self._died, MirrorproofError):
            raise self._died
        if self._died is not None:
            raise MirrorproofError(f"cluster: {self._died!r}") from self._died

    def end(self) -> None:
        """Ends all of them."""
        self._ended.set()
        for reflector in self._reflectors:
            reflector.close()
        deadline_s = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
