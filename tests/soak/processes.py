"""The product's processes of a run: started again when they end, and looked at all the while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from tests.soak.clock import SettableClock, write
from tests.soak.samples import Sample, look

REPOSITORY: Final = Path(__file__).parents[2]
_END_S: Final = 60.0


class Service:
    """One command on a clock of its own.

    Args:
        name: Of the files it leaves.
        arguments: The command of mirrorproof, with its options.
        environment: Settings, by their variables.
        folder: Gets clock and log.
        clock: When the run began, by the steady clock, what time it was, and the rate.

    Attributes:
        lives: The samples of each of its processes, in order.
        deaths: How often it ended by itself, with which status.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path,
        clock: tuple[float, int, float],
    ) -> None:  # fmt: skip
        self.name, self._arguments, self._environment = name, arguments, environment
        self._clock_file, self.log = folder / f"{name}.clock", folder / f"{name}.log"
        self.clock: SettableClock = write(self._clock_file, *clock)
        self._began_s = clock[0]
        self.lives: list[list[Sample]] = []
        self.deaths: list[int] = []
        self._lock = Lock()  # who kills is not who watches
        self.start()

    def start(self) -> None:
        """Starts it."""
        program = [sys.executable, "-m", "tests.soak.program", str(self._clock_file)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*program, *self._arguments],
                env={**os.environ, **self._environment}, cwd=REPOSITORY, stdout=log, stderr=log,
            )  # fmt: skip
        self.lives.append([])

    def watch(self) -> None:
        """Takes a sample; starts it again if it ended, as its supervisor would."""
        with self._lock:
            status = self._process.poll()
            if status is not None:
                self.deaths.append(status)
                self.start()
        sample = look(self._process.pid, time.monotonic() - self._began_s)
        if sample is not None:
            self.lives[-1].append(sample)

    def kill(self) -> None:
        """Ends it with -9, and starts it again."""
        with self._lock:
            self._process.kill()
            self._process.wait(_END_S)
            self.start()

    def freeze(self, seconds: float) -> None:
        """Stops it where it stands, and lets it go on after a while."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def leave(self) -> int:
        """Ends it in good order; its exit status."""
        self._process.terminate()
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.stop()
            return -1

    def stop(self) -> None:
        """Ends it whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(_END_S)

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs another command on the same clock and database."""
        program = [sys.executable, "-m", "tests.soak.program", str(self._clock_file)]
        return subprocess.run(
            [*program, *arguments],
            env={**os.environ, **self._environment}, cwd=REPOSITORY,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
