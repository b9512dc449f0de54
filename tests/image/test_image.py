"""The image: built, and all parts run from it as a cluster would, up to a statement."""

from __future__ import annotations

import json
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import docker
import pytest

from tests.e2e.test_verify import DATA, POLICY, in_envelope, recorded
from tests.image.engine import Engine
from tests.image.making import ROOT
from tests.servers.kafka import KafkaBroker
from tests.servers.process import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]

_PATIENCE_S: Final = 180.0
_MOST_MB: Final = 300
_HARDENED: Final = {
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}


@contextmanager
def started(engine: Engine, image: Any, *command: str, **options: Any) -> Iterator[Any]:
    """A container as a cluster runs it: read-only, without rights; removed at the end."""
    merged = {"network_mode": "host", **_HARDENED, **options}
    container = engine.client.containers.run(image, list(command), detach=True, **merged)
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def run(engine: Engine, image: Any, *command: str, **options: Any) -> tuple[int, str]:
    """Runs a container to its end; exit status and all it said."""
    with started(engine, image, *command, **options) as container:
        status = container.wait(timeout=_PATIENCE_S)["StatusCode"]
        return status, container.logs().decode()


def test_image_says_what_it_is_and_is_small(engine: Engine, image: Any, base: str) -> None:
    """Numbers for its user, the program for its health, labels of the project; its size is told."""
    config = image.attrs["Config"]
    labels = {name.rpartition(".")[2]: text for name, text in config["Labels"].items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    whole_mb = image.attrs["Size"] / 1e6
    ours_mb = whole_mb - engine.client.images.get("mirrorproof-test/no-shell").attrs["Size"] / 1e6

    sys.stderr.write(f"\nimage: {whole_mb:.0f} MB, {ours_mb:.0f} MB of it above the base {base}\n")
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["mirrorproof"]
    assert config["Healthcheck"]["Test"] == ["CMD", "mirrorproof", "healthcheck"]
    assert (labels["title"], labels["version"]) == (project["name"], project["version"])
    assert (labels["description"], labels["licenses"]) == (
        project["description"],
        project["license"],
    )
    assert ours_mb < _MOST_MB


def test_nothing_in_it_needs_a_shell(engine: Engine, image: Any) -> None:
    """The image under test has none, so that whatever runs here runs without."""
    with pytest.raises(docker.errors.APIError, match="no such file"):
        run(engine, image, entrypoint="/bin/sh")

    assert run(engine, image, "--version")[0] == 0


@pytest.mark.parametrize("user", ["65532:65532", "1000920000:0"])
def test_data_goes_to_a_volume(engine: Engine, image: Any, user: str) -> None:
    """The file is made in the volume, also by a user of the cluster's choice; else told why not."""
    volume = engine.client.volumes.create()
    try:
        where = {volume.name: {"bind": "/data", "mode": "rw"}}
        made = run(engine, image, "migrate", user=user, volumes=where)
        refused = run(engine, image, "migrate", user=user)
    finally:
        volume.remove()

    assert (made[0], made[1].split(" is at ")[0]) == (0, "sqlite:///mirrorproof.db")
    assert refused[0] == 2
    assert "database" in refused[1]


@pytest.fixture
def settings(postgres_url: str, kafka: KafkaBroker, tmp_path: Path) -> dict[str, Any]:
    """How each container is told its settings: secrets by a file, ports that are free."""
    secret = tmp_path / "database-url"
    secret.write_text(postgres_url)
    policies = tmp_path / "policies"
    policies.mkdir(mode=0o755)
    (policies / POLICY.name).write_bytes(POLICY.read_bytes())
    api, collector, verifier = free_ports(3)
    environment = {
        "MIRRORPROOF_DATABASE__URL_FILE": "/run/secrets/database-url",
        "MIRRORPROOF_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "MIRRORPROOF_KAFKA__TOPICS": kafka.create_topic(2),
        "MIRRORPROOF_KAFKA__PARTITIONS": "0-1",
        "MIRRORPROOF_API__LISTEN": f":{api}",
        "MIRRORPROOF_COLLECTOR__HEALTH_LISTEN": f":{collector}",
        "MIRRORPROOF_VERIFIER__HEALTH_LISTEN": f":{verifier}",
    }
    volumes = {
        str(secret): {"bind": "/run/secrets/database-url", "mode": "ro"},
        str(policies): {"bind": "/policies", "mode": "ro"},
    }
    # Seconds as the engine counts them; what is asked, the image says.
    health = {"interval": 2_000_000_000, "timeout": 30_000_000_000, "retries": 30}
    return {"environment": environment, "volumes": volumes, "healthcheck": health}


def test_all_parts_run_from_it_up_to_a_statement(
    engine: Engine, image: Any, kafka: KafkaBroker, settings: dict[str, Any]
) -> None:
    """What was lost in a recording is what the API says; each part is healthy, and stops well."""
    environment = settings["environment"]
    for number, (pod, lines) in enumerate(recorded("v1_outage").items()):
        values = [in_envelope(pod, line) for line in lines]
        kafka.send(environment["MIRRORPROOF_KAFKA__TOPICS"], values, partition=number % 2)
    expected = json.loads((DATA / "recordings" / "expected.json").read_text())["v1_outage"]
    wanted = expected["with_senders"]
    assert run(engine, image, "migrate", **settings)[0] == 0
    status, said = run(engine, image, "key", "create", "test", **settings)
    assert status == 0, said
    key = next(line for line in said.splitlines() if line.startswith("mp_"))
    api = f"http://127.0.0.1{environment['MIRRORPROOF_API__LISTEN']}"

    with (
        started(engine, image, "collect", "--policy", "/policies", **settings) as collector,
        started(engine, image, "verify", **settings) as verifier,
        started(engine, image, "serve", **settings) as server,
    ):
        parts = {"collect": collector, "verify": verifier, "serve": server}
        told = _wait_for(lambda: _statement(api, key, wanted["requests"]), parts)
        _wait_for(lambda: all(_is_healthy(part) for part in parts.values()), parts)
        refused, _ = verifier.exec_run(["python3", "-c", "open('/opt/mirrorproof/x', 'w')"])
        users = {process[0] for part in parts.values() for process in part.top()["Processes"]}
        ends = {}
        for name, part in parts.items():
            part.stop(timeout=30)
            ends[name] = part.wait()["StatusCode"]

    assert told["verdicts"]["missing"] == wanted["verdicts"]["missing"]
    assert told["statement"] == "violated"
    assert (refused, users) == (1, {"65532"})
    assert ends == {"collect": 0, "verify": 0, "serve": 0}


def _statement(api: str, key: str, requests: int) -> dict[str, Any] | None:
    """What is stated of all time; None: not all of it is settled, or nobody answers yet."""
    url = f"{api}/api/v1/statement?policy=weather/forecast-route&since=2020-01-01T00:00:00Z"
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            told = json.load(answer)
    except (urllib.error.URLError, OSError):
        return None
    return told if told["requests"] >= requests else None


def _is_healthy(part: Any) -> bool:
    part.reload()
    return bool(part.attrs["State"]["Health"]["Status"] == "healthy")


def _wait_for(ask: Callable[[], Any], parts: dict[str, Any]) -> Any:
    """Asks until there is an answer; fails with what the parts said when one ended, or late."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (found := ask()):
        for name, part in parts.items():
            part.reload()
            if part.status != "running" or time.monotonic() > deadline:
                pytest.fail(f"{name} is {part.status}:\n{part.logs().decode()[-3000:]}")
        time.sleep(0.5)
    return found
