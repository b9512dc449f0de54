"""`mirrorproof healthcheck`: what a container runtime asks."""

from __future__ import annotations

import pytest

from collector.errors import MirrorproofError
from collector.service.health import Health
from collector.service.health_server import serving
from collector.settings import Settings
from tests.clocks import HandClock
from tests.servers.process import free_ports
from verifier.cli.healthcheck import Probe, ask, healthcheck, probes


def test_every_address_of_the_settings_is_asked() -> None:
    """All addresses, those of all interfaces on this machine; none where a port is left open."""
    settings = Settings.model_validate(
        {
            "collector": {"health_listen": ":8081"},
            "verifier": {"health_listen": "[::]:8082"},
            "api": {"listen": "127.0.0.1:0"},
        }
    )

    assert probes(settings) == [
        Probe("collector.health_listen", "127.0.0.1", 8081, "/livez"),
        Probe("verifier.health_listen", "::1", 8082, "/livez"),
    ]


def test_a_part_that_hangs_is_told_with_its_reason() -> None:
    """What should be restarted fails the check; what is merely not ready does not."""
    lives = Health(HandClock(), hang_s=1e6)
    hangs = Health(HandClock(), hang_s=-1.0)

    with serving(lives, "127.0.0.1:0") as port:
        assert ask(Probe("x", "127.0.0.1", port, "/livez")) == ""
    with serving(hangs, "127.0.0.1:0") as port:
        assert ask(Probe("x", "127.0.0.1", port, "/livez")) == "no step of the loop for 0 s"
    assert ask(Probe("x", "127.0.0.1", port, "/livez")) is None


@pytest.fixture
def collector_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Settings of a collector alone; its port."""
    collector, api = free_ports(2)
    monkeypatch.setenv("MIRRORPROOF_COLLECTOR__HEALTH_LISTEN", f":{collector}")
    monkeypatch.setenv("MIRRORPROOF_API__LISTEN", f"127.0.0.1:{api}")
    return collector


def test_parts_that_run_elsewhere_do_not_fail_it(
    collector_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One part that lives is enough: others are not of this container."""
    with serving(Health(HandClock(), hang_s=1e6), f"127.0.0.1:{collector_port}"):
        healthcheck()

    assert capsys.readouterr().out == "collector.health_listen answers\n"


def test_it_fails_where_nothing_runs(collector_port: int) -> None:
    """A process that is gone, or does not listen yet, is not healthy."""
    with pytest.raises(
        MirrorproofError, match=f"nothing .* answers at 127.0.0.1:{collector_port}, "
    ):
        healthcheck()
