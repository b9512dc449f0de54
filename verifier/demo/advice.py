"""What to try next, with commands that work as they are printed."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from verifier.demo.database import FILE_NAME

_PROGRAM: Final = "mirrorproof"
_EXAMPLE: Final = Path("demo-kept")


def program_name(argument: str) -> str:
    """How this program is called from the present folder.

    Args:
        argument: `sys.argv[0]`.
    """
    if shutil.which(_PROGRAM):
        return _PROGRAM
    path = Path(argument)
    if path.name != _PROGRAM:
        return "python -m verifier"
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return str(path)


def next_steps(
    keep: Path | None, database_url: str | None, request_id: str, program: str | None = None
) -> list[str]:
    """The lines to end the demo with.

    Args:
        keep: The folder that was kept; None: nothing was.
        database_url: The database that was kept in place of a file in `keep`; None: none.
        request_id: A request of this run that was not mirrored, or empty.
        program: How to call this program; None: as it was called.
    """
    run = program or program_name(sys.argv[0])
    folder = keep or _EXAMPLE
    database = database_url or f"sqlite:///{folder / FILE_NAME}"
    asked = request_id if keep and request_id else "REQUEST_ID"
    steps = [
        ("the same verdicts, from the log files alone:", _check(run, folder)),
        (
            "one request, with its log lines as evidence:",
            f"{run} explain {asked} --database-url {database}",
        ),
    ]
    if find_spec("verifier.cli.serve"):
        what = "the web page and the query API over what was found:"
        steps.append((what, f"{run} serve --database-url {database}"))
    if keep is None:
        again = f"{run} demo --exit-after 60 --keep {folder}"
        steps.insert(0, ("the same, and keep logs, policy and database:", again))
    lines = ["", "What to try next:"]
    for text, command in steps:
        lines += [f"  {text}", f"    {command}"]
    return [*lines, "  your own mesh: README.md; in a cluster: deploy/README.md"]


def _check(run: str, folder: Path) -> str:
    return f"{run} check --policy {folder}/policy.yaml {folder}/logs/*.log"
