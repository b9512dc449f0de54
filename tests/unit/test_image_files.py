"""deploy/Dockerfile and deploy/compose.yaml fit the code; `make test-image` runs them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from collector.settings import Settings
from collector.settings.environment import known_settings, load

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE: Final = (DEPLOY / "Dockerfile").read_text()
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_image_has_the_version_and_extras_of_the_package() -> None:
    """The label says the package's version; every extra that is installed is one of it."""
    extras = re.findall(r"'\.\[([a-z,]+)\]'", DOCKERFILE)[0].split(",")

    assert f"ARG VERSION={PROJECT['version']}\n" in DOCKERFILE
    assert set(extras) == set(PROJECT["optional-dependencies"]) - {"demo", "test"}


def test_image_gets_what_it_copies_and_nothing_else() -> None:
    """What is sent to the engine is exactly what the Dockerfile takes."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    sent = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

    assert set(sent) == copied
    assert all((ROOT / name).exists() for name in sent)


def test_settings_of_image_and_compose_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is a setting, and what they say together is accepted."""
    known = {info.variable for info in known_settings()}
    of_image = dict(re.findall(r"\b(MIRRORPROOF_\w+)=(\S+)", DOCKERFILE))
    given = of_image | COMPOSE["x-mirrorproof"]["environment"]
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = load()

    assert set(given) - known == set()
    assert isinstance(settings, Settings)
    assert [endpoint.name for endpoint in settings.alerts.endpoints] == ["alertmanager"]


def test_compose_mounts_files_that_exist() -> None:
    """A file that is not there would become a folder, silently."""
    mounts = [
        volume.split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
    ]
    files = [DEPLOY / mount for mount in mounts if mount.startswith(".")]
    volumes = {mount for mount in mounts if not mount.startswith(".")}

    assert [str(file) for file in files if not file.exists()] == []
    assert volumes == set(COMPOSE["volumes"])


def test_compose_is_reached_from_this_machine_only() -> None:
    """Whatever is published is published on the loopback address."""
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_asks_where_parts_answer() -> None:
    """Ports of the scrape configuration are those of the image; the names, services."""
    jobs = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())["scrape_configs"]
    asked = {
        discovery["names"][0]: discovery["port"]
        for job in jobs
        for discovery in job.get("dns_sd_configs", [])
    }

    assert asked == {"collector": 8081, "verifier": 8082}
    assert jobs[-1]["static_configs"] == [{"targets": ["api:8080"]}]
    assert re.findall(r"_LISTEN=:(\d+)", DOCKERFILE) == ["8081", "8082"]
