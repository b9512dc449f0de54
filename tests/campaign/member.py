"""One collector process of a campaign: its lives, and how each of them ends."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import make_url

from tests.campaign.lines import POLICY
from tests.campaign.store import Position, Store

LIFE_LIMIT_S: Final = 180.0
"""A life that did not end as planned by then never will."""
SESSION_TIMEOUT_S: Final = 6.0
_STOP_S: Final = 5.0
_LEAVE_S: Final = 30.0
_REPOSITORY: Final = Path(__file__).parents[2]


class CampaignError(RuntimeError):
    """The campaign cannot go on: a process did what it must not."""


class Death(NamedTuple):
    """How a life ends.

    Attributes:
        how: `open`: killed while a transaction is open; `before`, `after`: at a commit.
        which: For the latter, which commits count: `batch` or `any`.
        number: Which of them it is, from 1.
        after_s: For `open`, how long after the first commit; negative: at once, from the start.
    """

    how: str
    which: str = "batch"
    number: int = 1
    after_s: float = 0.0


def plan_death(chance: random.Random) -> Death:
    """Half of the deaths are in an open transaction, a quarter before, a quarter after commits."""
    how = chance.choice(("open", "open", "before", "after"))
    if how == "open":
        # One in eight already while it starts, claims and reads its policies.
        return Death(how, after_s=-1.0 if chance.random() < 0.125 else chance.uniform(0.0, 0.6))
    if chance.random() < 0.25:
        return Death(how, "any", chance.randrange(1, 20))
    return Death(how, "batch", chance.randrange(1, 25))


@dataclass(frozen=True, slots=True)
class Task:
    """What all collectors of a round do.

    Attributes:
        group: Consumer group; None: static assignment of all partitions.
        folder: For the policy and the log.
    """

    bootstrap: str
    topic: str
    partitions: int
    database_url: str
    group: str | None
    folder: Path

    def arguments(self, owner: str) -> list[str]:
        """Of `mirrorproof`."""
        policy = self.folder / "policy.yaml"
        policy.write_text(POLICY)
        url = make_url(self.database_url)
        if not url.drivername.startswith("sqlite"):
            url = url.update_query_dict({"application_name": owner})
        found = ["collect", "--bootstrap-servers", self.bootstrap, "--topic", self.topic]
        found += ["--database-url", url.render_as_string(hide_password=False)]
        found += ["--policy", str(policy)]
        if self.group is None:
            return [*found, "--partitions", f"0-{self.partitions - 1}"]
        return [*found, "--group", self.group]


class Member:
    """A collector that is started again after each death.

    Attributes:
        owner: Its name in the database; a new one in each life.
        first_commits_s: From the start of a life to its first commit of a batch, of all lives
            that had one.
    """

    def __init__(self, name: str, task: Task, store: Store, chance: random.Random) -> None:
        self._name, self._task, self._store, self._chance = name, task, store, chance
        self._lives = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._due_s: float | None = None
        self._before: dict[int, int] = {}
        self._has_committed = False
        self._death: Death | None = None
        self.owner = ""
        self.first_commits_s: list[float] = []
        self.log = task.folder / "collector.log"

    def start(self, death: Death | None, batch_records: int | None = None) -> None:
        """Begins a life; without a death it is for ever."""
        self._lives += 1
        self._death, self._has_committed, self._before = death, False, {}
        self.owner = f"{self._name}{self._lives}"
        variables = {
            "MIRRORPROOF_COLLECTOR__OWNER": self.owner,
            "MIRRORPROOF_KAFKA__SESSION_TIMEOUT_S": f"{SESSION_TIMEOUT_S:g}",
        }
        if batch_records is not None:
            variables["MIRRORPROOF_KAFKA__BATCH_RECORDS"] = str(batch_records)
        with self.log.open("ab") as log:
            log.write(f"--- {self.owner}: {death}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                [*_program(death), *self._task.arguments(self.owner)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **variables},
                cwd=_REPOSITORY,
            )
        self._started_s = time.monotonic()
        self._due_s = self._started_s if death and death.after_s < 0 else None

    @property
    def is_doomed(self) -> bool:
        """Whether this life is to end by a kill."""
        return self._death is not None

    @property
    def pid(self) -> int:
        """Of the process, running or dead."""
        assert self._process is not None
        return self._process.pid

    def see(self, positions: dict[int, Position]) -> None:
        """Notes the first commit of this life: a partition of ours moved on."""
        if self._has_committed:
            return
        for partition, found in positions.items():
            if found.owner != self.owner:
                self._before[partition] = found.next_offset
            elif found.next_offset > self._before.setdefault(partition, found.next_offset):
                self._has_committed = True
        if self._has_committed:
            now_s = time.monotonic()
            self.first_commits_s.append(now_s - self._started_s)
            if self._death and self._death.how == "open" and self._due_s is None:
                self._due_s = now_s + self._death.after_s

    def dies(self) -> Death | None:
        """The death of this life when it has come, else None; never waits long.

        Raises:
            CampaignError: It ended otherwise, or did not end.
        """
        assert self._process is not None
        status = self._process.poll()
        if status is not None:
            if status == -signal.SIGKILL and self._death and self._death.how != "open":
                return self._death
            raise CampaignError(f"{self.owner} ended by itself with {status}:\n{self.log_end()}")
        now_s = time.monotonic()
        if self._death and now_s - self._started_s > LIFE_LIMIT_S:
            raise CampaignError(f"{self.owner}: no {self._death} came:\n{self.log_end()}")
        if self._due_s is None or now_s < self._due_s or not self._killed_in_transaction():
            return None
        return self._death

    def _killed_in_transaction(self) -> bool:
        """Stops the process where it is, and kills it if that is within a transaction.

        A stopped process cannot commit between the look and the kill.
        """
        assert self._process is not None
        time.sleep(self._chance.uniform(0.0, 0.02))
        self._process.send_signal(signal.SIGSTOP)
        deadline_s = time.monotonic() + _STOP_S
        while os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is None:
            if time.monotonic() > deadline_s:
                raise CampaignError(f"{self.owner} does not stop:\n{self.log_end()}")
            time.sleep(0.0005)
        if not self._store.is_writing(self.owner, self.pid):
            self._process.send_signal(signal.SIGCONT)
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """Ends it at once, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)

    def leave(self) -> None:
        """Ends it in good order. Raises CampaignError: it does not, or with an error."""
        assert self._process is not None
        self._process.terminate()
        status: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(_LEAVE_S)
        if status != 0:
            raise CampaignError(f"{self.owner} left with {status}:\n{self.log_end()}")

    def log_end(self) -> str:
        """The last lines of the log."""
        return self.log.read_text(errors="replace")[-3000:]


def _program(death: Death | None) -> list[str]:
    """The installed command itself, or the one that kills itself at a commit."""
    if death is None or death.how == "open":
        return [str(Path(sys.executable).with_name("mirrorproof"))]
    words = (death.how, death.which, str(death.number))
    return [sys.executable, "-m", "tests.campaign.failing", *words]
