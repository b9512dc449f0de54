"""The probes' server as Kubernetes sees it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from collector.errors import UsageError
from collector.service.health import Health
from collector.service.health_server import serving
from tests.clocks import HandClock

pytestmark = pytest.mark.integration


def ask(port: int, path: str) -> tuple[int, dict[str, Any]]:
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", ":0"])
def test_probes_are_answered(listen: str) -> None:
    """With the status that Kubernetes looks at, and reasons for people."""
    health = Health(HandClock(), hang_s=60.0)
    with serving(health, listen) as port:
        assert ask(port, "/livez") == (200, {"status": "ok"})
        status, said = ask(port, "/readyz")
        assert (status, list(said["reasons"])) == (503, ["starting"])
        assert ask(port, "/metrics")[0] == 404


def test_an_address_in_use_is_one_clear_line() -> None:
    """With the setting's name."""
    health = Health(HandClock(), hang_s=60.0)
    with (
        serving(health, "127.0.0.1:0") as port,
        pytest.raises(UsageError, match=rf"health_listen: .* 127.0.0.1:{port}: Address already"),
        serving(health, f"127.0.0.1:{port}"),
    ):
        pass
