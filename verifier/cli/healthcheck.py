"""`mirrorproof healthcheck`: asks the parts that run here whether they live."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Final, NamedTuple

import typer

from collector.errors import MirrorproofError
from verifier.cli.collect import ConfigOption

if TYPE_CHECKING:
    from collector.settings import Settings

_HELP: Final = """Asks the parts that run on this machine whether they live; for containers.

Every address of collector.health_listen, verifier.health_listen and api.listen is asked. Where
nobody listens, that part runs elsewhere. It fails when none answers, or one says that it should be
restarted.

Exit status: 0 all that run here live, 2 not.

[b]Example[/b]

  mirrorproof healthcheck
"""
_TIMEOUT_S: Final = 5.0
_LONGEST: Final = 65_536
"""Bytes of an answer that are read."""


class Probe(NamedTuple):
    """Whom to ask what."""

    setting: str
    host: str
    port: int
    path: str


def probes(settings: Settings) -> list[Probe]:
    """The probes of all parts that have an address in the settings."""
    listens = {
        "collector.health_listen": (settings.collector.health_listen, "/livez"),
        "verifier.health_listen": (settings.verifier.health_listen, "/livez"),
        "api.listen": (settings.api.listen, "/healthz"),
    }
    found = []
    for setting, (listen, path) in listens.items():
        host, _, port = listen.rpartition(":")
        if port.isdigit() and int(port):
            found.append(Probe(setting, _reachable(host.strip("[]")), int(port), path))
    return found


def _reachable(host: str) -> str:
    """Where one who listens at `host` is reached from the same machine."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def ask(probe: Probe, timeout_s: float = _TIMEOUT_S) -> str | None:
    """What is wrong with one part; empty: nothing, None: it does not run here."""
    connection = http.client.HTTPConnection(probe.host, probe.port, timeout=timeout_s)
    try:
        connection.request("GET", probe.path)
        answer = connection.getresponse()
        body = answer.read(_LONGEST)
    except ConnectionRefusedError:
        return None
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer: {error or type(error).__name__}"
    finally:
        connection.close()
    return "" if answer.status == http.client.OK else _reasons(answer.status, body)


def _reasons(status: int, body: bytes) -> str:
    """The reasons that a probe's answer has, as one line."""
    try:
        reasons = json.loads(body)["reasons"]
        return "; ".join(str(reason) for reason in reasons.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"answered {status}"


def healthcheck(config: ConfigOption = None) -> None:
    """Asks; see `_HELP`."""
    from collector.settings import environment

    asked = probes(environment.load(config=config))  # without logging: it has to be quick
    answers = {probe: ask(probe) for probe in asked}
    here = {probe: answer for probe, answer in answers.items() if answer is not None}
    failing = [f"{probe.setting}: {answer}" for probe, answer in here.items() if answer]
    if failing:
        raise MirrorproofError("; ".join(failing))
    if not here:
        where = ", ".join(f"{probe.host}:{probe.port}" for probe in asked)
        raise MirrorproofError(f"nothing of mirrorproof answers at {where or 'any address'}")
    typer.echo(", ".join(f"{probe.setting} answers" for probe in here))


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("healthcheck", help=_HELP)(healthcheck)
