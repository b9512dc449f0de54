"""What a process says of itself: whether its loop moves, and what it cannot do at present.

Liveness is the loop's own progress, and nothing else: a database that is away is no reason to
restart anybody. Readiness is all that keeps us from doing our work, each with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from collector.clock import Clock

HUNG = "hung"
STALLED = "partition_stalled"
"""The reasons that only another process mends."""


class Health:
    """Written by the loop, read by other threads.

    Args:
        clock: Where the time comes from.
        hang_s: One step of the loop that takes longer than this never ends, seconds.
        starting: Why nothing is ready yet, until `starting` is mended.
    """

    def __init__(
        self, clock: Clock, hang_s: float, starting: str = "no broker has answered yet"
    ) -> None:
        self._clock = clock
        self._hang_s = hang_s
        self._beat_s = clock.monotonic()
        # Replaced, never changed: readers need no lock.
        self._troubles: Mapping[str, str] = {"starting": starting}
        self._warnings: Mapping[str, str] = {}

    def beat(self) -> None:
        """The loop made a step."""
        self._beat_s = self._clock.monotonic()

    def trouble(self, name: str, words: str) -> None:
        """Something does not work; `name` is a constant word, `words` one line for people."""
        if self._troubles.get(name) != words:
            self._troubles = {**self._troubles, name: words}

    def mend(self, name: str) -> None:
        """It works again."""
        if name in self._troubles:
            self._troubles = {n: words for n, words in self._troubles.items() if n != name}

    def warn(self, name: str, words: str) -> None:
        """Something is wrong that keeps us from nothing; empty words: it is no more."""
        others = {n: said for n, said in self._warnings.items() if n != name}
        self._warnings = {**others, name: words} if words else others

    def warnings(self) -> dict[str, str]:
        """What an operator should look at although all work is done, by name."""
        return dict(self._warnings)

    def say(self, name: str, words: str) -> None:
        """As `trouble`, or as `mend` where there are no words."""
        if words:
            self.trouble(name, words)
        else:
            self.mend(name)

    def silent_s(self) -> float:
        """How long ago the last step was, seconds."""
        return self._clock.monotonic() - self._beat_s

    def is_hung(self) -> bool:
        """Whether the loop stands still."""
        return self.silent_s() > self._hang_s

    def is_slow(self) -> bool:
        """Whether the loop waits for something that may never come."""
        return self.silent_s() > self._hang_s / 2

    def not_live(self) -> dict[str, str]:
        """Why this process should be restarted, by reason; empty: it should not."""
        found = {n: words for n, words in self._troubles.items() if n == STALLED}
        if self.is_hung():
            found[HUNG] = f"no step of the loop for {self.silent_s():.0f} s"
        return found

    def not_ready(self) -> dict[str, str]:
        """Why this process does not do all of its work, by reason; empty: it does."""
        return {**self._troubles, **self.not_live()}
