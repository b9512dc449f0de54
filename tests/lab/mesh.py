"""The demo's mesh with what a scenario changes in it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.config import Config, Setup, accept_tls, render_routes, speak_tls
from verifier.demo.mesh import Mesh
from verifier.demo.pods import Pod
from verifier.demo.servers import Servers


class LabMesh(Mesh):
    """A mesh whose proxies are set up by a scenario."""

    def __init__(
        self, servers: Servers, folder: Path, app_ports: Mapping[str, int], setup: Setup
    ) -> None:
        self._setup = setup
        self._routes: Sequence[Config] = setup.routes
        self._pair = _certificate(servers.folder) if setup.tls else None
        super().__init__(
            servers,
            folder,
            app_ports,
            log_format=setup.log_format,
            flush_ms=setup.flush_ms,
            forecasts=setup.pods,
        )

    def reroute(self, routes: Sequence[Config]) -> None:
        """Changes the routes and returns once the frontend's proxy routes by them."""
        self._routes = routes
        self._write_routes()
        self._await_route()

    def port_of(self, pod: str) -> int:
        """Where the proxy of a forecast pod listens."""
        return self._sidecars[pod].port

    def received(self) -> dict[str, int]:
        """How many requests each running proxy of forecast counts itself."""
        return {pod.name: self._count(pod.name) for pod in self._setup.pods}

    def _count(self, pod: str) -> int:
        stats = self._sidecars[pod].ask("stats?format=json&filter=http.mesh.downstream_rq_total")
        return int(stats["stats"][0]["value"]) if stats else 0

    def _render_routes(self) -> dict[str, Any]:
        return render_routes(self._setup, self._routes, self._version)

    def _render_forecast(self, pod: Pod, app_port: int, port: int) -> dict[str, Any]:
        config = super()._render_forecast(pod, app_port, port)
        self._setup.forecast(pod, config)
        if self._pair:
            accept_tls(config, *self._pair)
        return config

    def _render_frontend(self, port: int) -> dict[str, Any]:
        config = super()._render_frontend(port)
        self._setup.frontend(config)
        if self._pair:
            speak_tls(config)
        return config


def _certificate(folder: Path) -> tuple[str, str]:
    """A certificate of our own and its key, PEM, made by openssl."""
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=lab"),
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "cert.pem").read_text(), (folder / "key.pem").read_text()
