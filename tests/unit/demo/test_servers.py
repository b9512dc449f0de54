from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from verifier.demo.servers import Servers

_OWNER = """
import sys, time
from pathlib import Path
from verifier.demo.servers import Servers
servers = Servers()
child = servers.spawn(["/bin/sleep", "300"], servers.folder / "out")
print(child.pid, servers.folder, flush=True)
time.sleep(300)
"""


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(pid: int, folder: Path) -> None:
    """Waits a bounded time for the guard's work."""
    deadline = time.monotonic() + 10
    while (alive(pid) or folder.exists()) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_closing_leaves_no_process_and_no_folder() -> None:
    """An orderly end removes both, and a second one does nothing."""
    servers = Servers()
    child = servers.spawn(["/bin/sleep", "300"], servers.folder / "out")
    folder = servers.folder

    servers.close()
    servers.close()

    assert not alive(child.pid)
    assert not folder.exists()


def test_a_killed_owner_leaves_no_process_and_no_folder() -> None:
    """Who is killed cannot tidy up; the guard does."""
    owner = subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, folder = owner.stdout.readline().split()

    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()

    wait_until_gone(int(pid), Path(folder))
    assert not alive(int(pid))
    assert not Path(folder).exists()


def test_a_server_that_ignores_the_polite_signal_is_killed() -> None:
    """Nothing survives the end of the demo."""
    with Servers() as servers:
        child = servers.spawn(
            ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
            servers.folder / "out",
        )
        while "ready" not in (servers.folder / "out").read_text():
            time.sleep(0.01)

    assert not alive(child.pid)


def test_a_folder_of_the_user_is_kept(tmp_path: Path) -> None:
    """With a folder of one's own, its files stay."""
    keep = tmp_path / "kept"

    with Servers(keep) as servers:
        (servers.folder / "note").write_text("here")

    assert (keep / "note").read_text() == "here"
