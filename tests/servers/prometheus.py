"""The real Prometheus, where it is installed (Debian: prometheus)."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.servers.process import Command, ServerError, folder, free_ports, running

PROGRAM: Final = "prometheus"
_START_S: Final = 60.0
_CONFIG: Final = """\
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["RULES"]
scrape_configs:
  - job_name: mirrorproof
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""


class Prometheus:
    """One that runs.

    Args:
        url: Where it answers.
    """

    def __init__(self, url: str) -> None:
        self._url: Final = url

    def is_ready(self) -> bool:
        """Whether it answers queries: its port is open before."""
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=10):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def query(self, expression: str) -> list[Any]:
        """What an expression gives now: its series. Raises ServerError: it was refused."""
        found: list[Any] = self._ask("query", query=expression)["result"]
        return found

    def rules(self) -> list[Any]:
        """All rules with their health, as the API tells them."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def wait(self, until: Callable[[], bool], timeout_s: float = _START_S) -> None:
        """Waits for something to be so. Raises ServerError: it was not in time."""
        deadline_s = time.monotonic() + timeout_s
        while not until():
            if time.monotonic() > deadline_s:
                raise ServerError("Prometheus did not come to that in time")
            time.sleep(0.2)

    def _ask(self, what: str, **parameters: str) -> Any:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ServerError(error.read().decode()) from error


def is_installed() -> bool:
    """Whether it can be started."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def prometheus(port: int, rules: Path) -> Iterator[Prometheus]:
    """Runs one that reads the metrics of a process once a second.

    Args:
        port: Of this machine, where `/metrics` answers.
        rules: Its rule file.
    """
    (own,) = free_ports(1)
    with folder("prometheus") as home:
        config = home / "config.yml"
        config.write_text(_CONFIG.replace("PORT", str(port)).replace("RULES", str(rules)))
        with running(_command(config, home, own), port=own, timeout_s=_START_S):
            found = Prometheus(f"http://127.0.0.1:{own}")
            found.wait(found.is_ready)
            yield found


def _command(config: Path, home: Path, port: int) -> Command:
    arguments = [
        PROGRAM,
        f"--config.file={config}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Command(arguments=arguments, log=home / "log")
