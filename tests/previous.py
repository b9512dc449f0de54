"""The release before this one: its code beside today's, to run both on one database."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
VARIABLE = "MIRRORPROOF_TEST_PREVIOUS"


class NoHistoryError(Exception):
    """The code of the release before cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """A folder with the code of a commit.

    Attributes:
        commit: Which one, for people.
        folder: Has `collector`, `verifier` and `migrations`.
    """

    commit: str
    folder: Path

    @property
    def program(self) -> tuple[str, ...]:
        """Its `mirrorproof`: what is imported is in the folder, not what is installed."""
        run = "from verifier.cli import main; main()"
        return ("env", "-C", str(self.folder), sys.executable, "-c", run)


def previous(folder: Path) -> Release:
    """Unpacks the release before today's code into an empty folder.

    That is what `MIRRORPROOF_TEST_PREVIOUS` names, else the newest tag `v…` before this commit,
    else the last commit before the newest migration.

    Raises:
        NoHistoryError: There is none, as in a clone without history.
    """
    found = os.environ.get(VARIABLE) or _newest_tag() or _before_newest_migration()
    parts = ("collector", "verifier", "migrations")
    archive = _git("archive", "--format=tar", found, *parts)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return Release(_git("log", "-1", "--format=%h %s", found).decode().strip(), folder)


def _newest_tag() -> str:
    try:
        return _git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD~1").decode().strip()
    except NoHistoryError:
        return ""


def _before_newest_migration() -> str:
    newest = max((REPOSITORY / "migrations" / "versions").glob("*.py"), key=lambda p: p.name[9:])
    # Followed over renames: a file may get its final number last.
    added = _git("log", "--format=%H", "--diff-filter=A", "-1", "--", str(newest)).decode().strip()
    if not added:
        raise NoHistoryError(f"{newest.name} is not committed yet, or the clone has no history")
    return f"{added}^"


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise NoHistoryError("no git here") from error
    except subprocess.CalledProcessError as error:
        raise NoHistoryError(error.stderr.decode().strip() or "git failed") from error
    return done.stdout
