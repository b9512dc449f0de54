"""One real Envoy, a sender's proxy, with what Istio would make of our files."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.lab.config import mirror, to
from verifier.demo.envoy_config import render_cluster
from verifier.demo.mesh import Sidecar, envoy_binary
from verifier.demo.pods import FRONTEND, cluster_name
from verifier.demo.servers import Servers

_API: Final = "type.googleapis.com/envoy.extensions"
_DEADLINE_S: Final = 60.0
REQUESTS: Final = 3
HEADER: Final = "x-mirrorproof-shadow"


class _Service:
    """An application that keeps the marks of the requests that it gets."""

    def __init__(self) -> None:
        marks: list[str | None] = []

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                marks.append(self.headers.get(HEADER))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Says nothing."""

        self.marks = marks
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()


class Proxy:
    """What the proxy and the applications saw."""

    def __init__(self, folder: Path, services: dict[str, _Service]) -> None:
        self._folder, self._services = folder, services

    def lines(self, name: str, count: int) -> list[str]:
        """The lines of a log, once there are as many."""
        return _until(lambda: (self._folder / name).read_text().splitlines(), count)

    def marks(self, version: str, count: int) -> list[str | None]:
        """The marks that a version saw, once there are as many."""
        return _until(lambda: list(self._services[version].marks), count)


def _until(look: Any, count: int) -> Any:
    deadline = time.monotonic() + _DEADLINE_S
    while len(found := look()) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def _config(
    folder: Path,
    services: dict[str, _Service],
    labels: dict[str, str],
    router: dict[str, Any],
    cluster: dict[str, Any],
) -> dict[str, Any]:
    """The bootstrap, with the patches merged in; logs go to files instead of standard output."""
    typed = router["typed_config"]
    typed["upstream_log"][0]["typed_config"]["path"] = str(folder / "upstream.log")
    clusters = [
        render_cluster(cluster_name(version), [service.server.server_port])
        for version, service in services.items()
    ]
    next(one for one in clusters if one["name"] == cluster_name("v1")).update(cluster)
    log = {
        "@type": f"{_API}.access_loggers.file.v3.FileAccessLog",
        "path": str(folder / "access.log"),
        "log_format": {"json_format": labels},
    }
    routes = [{"match": {"prefix": "/"}, "name": "forecast", "route": to("v2", mirror())}]
    host = {
        "name": "forecast", "domains": ["*"], "routes": routes,
        "include_request_attempt_count": True,
    }  # fmt: skip
    manager = {
        "@type": f"{_API}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "mesh",
        "generate_request_id": True,
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": log}],
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": typed}],
        "route_config": {"name": "3002", "virtual_hosts": [host]},
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {
        "name": "traffic", "address": address, "filter_chains": [{"filters": filters}],
        "enable_reuse_port": False,
    }  # fmt: skip
    resources = {"listeners": [listener], "clusters": clusters}
    return {"admin": {"address": address}, "static_resources": resources}


@contextmanager
def running(
    folder: Path, labels: dict[str, str], router: dict[str, Any], cluster: dict[str, Any]
) -> Iterator[Proxy]:
    """Runs the proxy as long as the block; it had `REQUESTS` requests.

    Args:
        folder: Gets its logs.
        labels: The JSON format of the access log.
        router: The patch of the router filter.
        cluster: The patch of the mirror's cluster.
    """
    services = {"v1": _Service(), "v2": _Service()}
    config = _config(folder, services, labels, router, cluster)
    (folder / "envoy.json").write_text(json.dumps(config))
    sidecar = Sidecar(FRONTEND, lambda _port: config, folder)
    command = [
        *("env", "POD_NAME=frontend-1", "POD_NAMESPACE=weather", str(envoy_binary())),
        *("--config-path", str(folder / "envoy.json"), "--concurrency", "1"),
        *("--admin-address-path", str(sidecar.admin_file), "--disable-hot-restart"),
        *("--file-flush-interval-msec", "50"),
    ]
    try:
        with Servers() as servers:
            process = servers.spawn(command, folder / "envoy.out")
            port = _port(sidecar, process, folder / "envoy.out")
            for number in range(REQUESTS):
                url = f"http://127.0.0.1:{port}/weather?day={number}"
                asked = urllib.request.Request(url, headers={"host": "forecast:3002"})
                urllib.request.urlopen(asked, timeout=_DEADLINE_S).close()
            yield Proxy(folder, services)
            servers.stop(process)
    finally:
        for service in services.values():
            service.stop()


def _port(sidecar: Sidecar, process: Any, output: Path) -> int:
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        statuses = (sidecar.ask("listeners?format=json") or {}).get("listener_statuses", [])
        if statuses:
            return int(statuses[0]["local_address"]["socket_address"]["port_value"])
        assert process.poll() is None, output.read_text()[-3000:]
        time.sleep(0.05)
    raise AssertionError(f"Envoy does not listen (process {os.getpid()})")
