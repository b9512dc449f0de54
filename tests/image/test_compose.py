"""deploy/compose.yaml, run: up to a statement, metrics, and an alert in Alertmanager."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from tests.image.engine import Engine
from tests.image.making import COMPOSE, IMAGE, server_images
from tests.servers.process import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]

_PATIENCE_S: Final = 900.0
"""Copies begin to lack after two minutes; an incident counts windows that settled a minute ago."""
_PORTS: Final = ("API_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")


class Composed:
    """The services, started, and where they answer."""

    def __init__(self, command: list[str], environment: dict[str, str], left_out: set[str]) -> None:
        self.environment = environment
        self.left_out = left_out
        self._command = [*command, "--file", str(COMPOSE), "--project-name", "mirrorprooftest"]

    def run(self, *arguments: str) -> str:
        """Runs Docker Compose; fails with what it said."""
        done = subprocess.run(
            [*self._command, *arguments],
            env=os.environ | self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def ask(self, port: str, path: str, key: str = "") -> Any:
        """The JSON of an answer; None: nobody answers."""
        url = f"http://127.0.0.1:{self.environment[port]}{path}"
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return None


def _compose_command() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            tried = subprocess.run([*command, "version"], capture_output=True, check=False)
            if tried.returncode == 0:
                return command
    pytest.skip("Docker Compose is not installed (Debian: docker-compose)")


@pytest.fixture
def composed(engine: Engine, base: str, image: Any) -> Iterator[Composed]:
    """All services but those whose image cannot be had, which is told; removed at the end."""
    images = server_images(engine, base)
    left_out = {name.removesuffix("_IMAGE").lower() for name, found in images.items() if not found}
    if left_out:
        sys.stderr.write(f"\nnot run, as no image of it can be had: {', '.join(left_out)}\n")
    ports = dict(zip(_PORTS, map(str, free_ports(len(_PORTS))), strict=True))
    given = {name: found for name, found in images.items() if found}
    environment = engine.environment | given | ports | {"MIRRORPROOF_IMAGE": IMAGE}
    found = Composed(_compose_command(), environment, left_out)
    services = sorted(set(yaml.safe_load(COMPOSE.read_text())["services"]) - left_out)
    try:
        found.run("up", "--detach", "--no-build", *services)
        yield found
    finally:
        found.run("down", "--volumes", "--timeout", "20")


def _wait_for(ask: Callable[[], Any], composed: Composed, what: str) -> Any:
    deadline = time.monotonic() + _PATIENCE_S
    while not (found := ask()):
        if time.monotonic() > deadline:
            pytest.fail(f"no {what}:\n{composed.run('ps')}{composed.run('logs', '--tail', '20')}")
        time.sleep(1)
    return found


def test_one_command_shows_it_all(composed: Composed) -> None:
    """Traffic is proven; Prometheus reads every part and the rules; lost copies become an alert."""
    key = composed.run("run", "--rm", "-T", "api", "key", "create", "test").split()[-1]

    def statement() -> Any:
        path = "/api/v1/statement?policy=weather/forecast&since=1h"
        told = composed.ask("API_PORT", path, key)
        return told if told and told["requests"] >= 100 else None

    def targets() -> Any:
        told = composed.ask("PROMETHEUS_PORT", "/api/v1/targets") or {"data": {"activeTargets": []}}
        found = {each["labels"]["job"]: each["health"] for each in told["data"]["activeTargets"]}
        return found if len(found) == 3 and set(found.values()) == {"up"} else None

    def alert() -> Any:
        told = composed.ask("ALERTMANAGER_PORT", "/api/v2/alerts") or []
        return [one["labels"] for one in told if one["labels"].get("kind") == "missing"]

    first = _wait_for(statement, composed, "statement")
    _wait_for(targets, composed, "target of Prometheus for each part")
    rules = composed.ask("PROMETHEUS_PORT", "/api/v1/rules")["data"]["groups"]
    labels = _wait_for(alert, composed, "alert")[0]

    assert first["verdicts"]["matched"] > 0
    assert rules
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}
    assert (labels["policy"], labels["source"]) == ("weather/forecast", "compose")
    assert statement()["statement"] == "violated"
