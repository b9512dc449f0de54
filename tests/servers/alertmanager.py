"""The real Prometheus Alertmanager, where it is installed (Debian: prometheus-alertmanager)."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.servers.process import Command, folder, free_ports, running

PROGRAM: Final = "prometheus-alertmanager"
_START_S: Final = 60.0
_CONFIG: Final = """\
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s}
receivers:
  - name: hook
    webhook_configs: [{url: "HOOK", send_resolved: true}]
"""


def is_installed() -> bool:
    """Whether it can be started."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def alertmanager(hook: str = "http://127.0.0.1:9/") -> Iterator[str]:
    """Runs one; gives its URL.

    Args:
        hook: Where it sends what it is told.
    """
    (port,) = free_ports(1)
    with folder("alertmanager") as home:
        config = home / "config.yml"
        config.write_text(_CONFIG.replace("HOOK", hook))
        with running(_command(config, home, port), port=port, timeout_s=_START_S):
            yield f"http://127.0.0.1:{port}"


def _command(config: Path, home: Path, port: int) -> Command:
    arguments = [
        PROGRAM,
        f"--config.file={config}",
        f"--storage.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    return Command(arguments=arguments, log=home / "log")


def alerts_of(url: str) -> list[Any]:
    """The alerts that it has, as its API tells them."""
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=10) as answer:
        found = json.load(answer)
    assert isinstance(found, list)
    return found
