"""Serves the API: one process, uvicorn's threads, ended by an event as every other part."""

from __future__ import annotations

import hmac
import socket
from hashlib import sha256
from threading import Event, Thread
from typing import Final

import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from collector.clock import Clock, SystemClock
from collector.db.engine import open_engine
from collector.db.secrets import request_key_secret
from collector.errors import MirrorproofError, UsageError
from collector.log import get_logger
from collector.service.process import ProcessMetrics
from collector.settings import Settings
from verifier.alerts.vault import vault_of
from verifier.api.app import create_app
from verifier.api.limits import AT_ONCE
from verifier.api.lines import PatientForAWhile
from verifier.api.services import Services
from verifier.api.waiting import NO_KEY, address_of

_GRACE_S: Final = 5
"""Requests that run when we are told to stop have so long."""
_KEEP_ALIVE_S: Final = 15
_MOST_CONNECTIONS: Final = 500
"""More are told to come back: each question needs the database."""


def make_services(settings: Settings, engine: Engine, clock: Clock | None = None) -> Services:
    """What the routes work with.

    Their connections are their own, so that nobody who asks takes one from settling; `Server.run`
    closes them.

    Args:
        settings: All settings.
        engine: The database, migrated.
        clock: For rate limits.
    """
    secret = hmac.digest(request_key_secret(engine), b"query api", sha256)
    own = open_engine(settings.database.address(), pool_size=AT_ONCE)
    return Services(engine=own, settings=settings, clock=clock or SystemClock(), secret=secret)


class Server:
    """Answers until it is told to stop. `run` takes a thread of its own.

    Args:
        services: What the routes work with.
        process: Whose metrics it shows; None: of a process that does nothing else.

    Raises:
        UsageError: The address cannot be had, or the file of `alerts.key_file` cannot be read.
    """

    def __init__(self, services: Services, process: ProcessMetrics | None = None) -> None:
        self._services: Final = services
        vault_of(services.settings.alerts)  # a key that cannot be read is told now, as by verify
        self.app: Final[FastAPI] = create_app(services, process)
        host, port = address_of(services.settings.api.listen)
        self._socket = bind(host, port)
        self.port: Final[int] = self._socket.getsockname()[1]
        self.url: Final = f"http://{_shown(host)}:{self.port}"

    def run(self, stop: Event) -> None:
        """Answers until `stop` is set.

        Raises:
            MirrorproofError: The server ended by itself.
        """
        config = uvicorn.Config(
            self.app,
            http=PatientForAWhile,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            limit_concurrency=_MOST_CONNECTIONS,
            # Of a proxy on this machine, whatever the environment says.
            forwarded_allow_ips="127.0.0.1,::1",
            lifespan="off",
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        thread = Thread(target=server.run, args=([self._socket],), name="uvicorn", daemon=True)
        log = get_logger(component="api")
        log.info("api_started", url=self.url)
        if self.app.state.gatekeeper.waits():
            log.warning("api_waits_for_key", reason=f"only health is answered: {NO_KEY}")
        thread.start()
        while thread.is_alive() and not stop.wait(0.2):
            pass
        ended_early = not stop.is_set()
        server.should_exit = True
        thread.join(_GRACE_S + 2)
        self._socket.close()
        self._services.engine.dispose()
        log.info("api_stopped")
        if ended_early:
            raise MirrorproofError("the query API ended by itself; its log says why")


def bind(host: str, port: int) -> socket.socket:
    """A socket on which others may ask. Raises UsageError: the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # For all connections that it takes: else the body of an answer, sent after its headers, waits
    # until the client has acknowledged these, which takes 40 ms. asyncio sets it only where the
    # protocol of the socket is named.
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        found.bind((host, port))
        found.listen(2_048)  # from now on who asks waits, and is not refused
    except OSError as error:
        found.close()
        raise UsageError(
            f"api.listen: cannot listen on {host}:{port}: {error.strerror or error}"
        ) from error
    return found


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - for people, who ask on this machine
        return "localhost"
    return f"[{host}]" if ":" in host else host
