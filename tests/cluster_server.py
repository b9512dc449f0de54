"""A small API server of Kubernetes: lists in parts, watches, bookmarks, and its usual faults.

Speaks what the real one does: HTTP/1.1 with chunks, one JSON object a line, a resource version
that grows with every change, 410 for versions that it forgot, `Status` objects for refusals.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from collector.settings.cluster import ClusterSettings

TOKEN = "first-token"
PATIENCE_S = 30.0
Object = dict[str, Any]

GROUPS = {
    "virtualservices": "/apis/networking.istio.io/v1",
    "destinationrules": "/apis/networking.istio.io/v1",
    "httproutes": "/apis/gateway.networking.k8s.io/v1",
    "pods": "/api/v1",
}
KINDS = {
    "virtualservices": "VirtualService",
    "destinationrules": "DestinationRule",
    "httproutes": "HTTPRoute",
    "pods": "Pod",
}


def eventually(true: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


class Fault:
    """What happens to some requests instead of an answer.

    Args:
        plural: Whose requests; empty: all.
        status: To answer with.
        watch: Whether watches, lists (and single objects), or both (None).
        times: For how many requests; then all is well again.
        headers: Beside the status.
        message: Of the status object.
    """

    def __init__(
        self,
        status: int,
        plural: str = "",
        *,
        watch: bool | None = None,
        times: int = 1,
        headers: dict[str, str] | None = None,
        message: str = "out of order",
    ) -> None:
        self.status, self.plural, self.watch, self.times = status, plural, watch, times
        self.headers, self.message = headers or {}, message

    def meets(self, plural: str, *, watch: bool) -> bool:
        """Whether a request meets it."""
        return self.times > 0 and self.plural in ("", plural) and self.watch in (None, watch)


class ClusterServer:
    """The server; use as a context manager.

    Attributes:
        faults: What goes wrong, the first that fits.
        asked: Paths with their queries, in order.
        token: The only one that is let in.
        page: Objects in a part of a list, whatever the client asks for.
        expire: Whether parts of lists after the first are refused as expired.
        empty: Kinds of which lists are empty, whatever there is.
        missing: Kinds that are not installed.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.token = TOKEN
        self.page = 500
        self.expire = False
        self.empty: set[str] = set()
        self.missing: set[str] = set()
        self._changed = threading.Condition()
        self._objects: dict[str, dict[tuple[str, str], Object]] = {name: {} for name in GROUPS}
        self._events: list[tuple[int, str, Object]] = []
        self._version = 100
        self._forgotten = 100
        self._cut: dict[int, bytes] = {}
        self._generation = 0
        self._ended = False

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def settings(self, folder: Path, **more: Any) -> ClusterSettings:
        """How to reach it; the file is read again when a token is refused."""
        file = folder / "kubeconfig"
        self.write_kubeconfig(file)
        return ClusterSettings(enabled=True, kubeconfig=file, timeout_s=5, **more)

    def write_kubeconfig(self, file: Path) -> None:
        """Writes a file with the token of now."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        new = file.with_suffix(".new")
        new.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": url}}],
                    "users": [{"name": "u", "user": {"token": self.token}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        new.replace(file)  # at once, as who reads it meanwhile finds a whole one

    def put(self, plural: str, found: Object) -> None:
        """Adds or changes an object."""
        with self._changed:
            name = _name(found)
            kind = "MODIFIED" if name in self._objects[plural] else "ADDED"
            self._tell(plural, kind, found)
            self._objects[plural][name] = self._events[-1][2]["object"]

    def delete(self, plural: str, namespace: str, name: str) -> None:
        """Deletes an object."""
        with self._changed:
            self._tell(plural, "DELETED", self._objects[plural].pop((namespace, name)))

    def bookmark(self, plural: str) -> None:
        """Tells watches of the version of now."""
        with self._changed:
            self._tell(plural, "BOOKMARK", {"kind": KINDS[plural], "metadata": {}})

    def forget(self) -> None:
        """Compacts: versions until now are too old to watch from."""
        with self._changed:
            self._forgotten = self._version

    def cut(self, plural: str = "", half: bytes = b"") -> None:
        """Drops all watches, each after half a line."""
        with self._changed:
            self._cut[self._generation] = half
            self._generation += 1
            self._changed.notify_all()

    def _tell(self, plural: str, kind: str, found: Object) -> None:
        self._version += 1
        metadata = {**found.get("metadata", {}), "resourceVersion": str(self._version)}
        event = {"type": kind, "object": {**found, "metadata": metadata}}
        self._events.append((self._version, plural, event))
        self._changed.notify_all()

    # What the handler asks.

    def fault(self, plural: str, *, watch: bool) -> Fault | None:
        """The fault that a request meets."""
        with self._changed:
            found = next((one for one in self.faults if one.meets(plural, watch=watch)), None)
            if found is not None:
                found.times -= 1
            return found

    def objects(self, plural: str, namespace: str, selector: str) -> tuple[int, list[Object]]:
        """The version of now and the objects."""
        with self._changed:
            some = [] if plural in self.empty else self._objects[plural].items()
            return self._version, [
                one
                for (home, _), one in sorted(some)
                if namespace in ("", home) and _selected(one, selector)
            ]

    def one(self, plural: str, namespace: str, name: str) -> Object | None:
        """An object by its name."""
        with self._changed:
            return self._objects[plural].get((namespace, name))

    def follow(
        self, plural: str, namespace: str, since: int, send: Callable[[bytes], None]
    ) -> bool:
        """Sends events after a version as they come; False: the connection is to break."""
        with self._changed:
            generation = self._generation
            if since < self._forgotten:
                send(_line({"type": "ERROR", "object": _status(410, "too old resource version")}))
                return True
            while not self._ended:
                if self._generation > generation:
                    send(self._cut[generation])
                    return False
                new = [e for v, p, e in self._events if v > since and p == plural]
                since = self._version
                for event in new:
                    home = event["object"]["metadata"].get("namespace", namespace)
                    if namespace in ("", home):
                        send(_line(event))
                self._changed.wait(0.5)
            return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: ClusterServer

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        url, cluster = urlsplit(self.path), self.cluster
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        cluster.asked.append(self.path)
        parts = url.path.rsplit("/namespaces/", 1)
        inside = parts[1].split("/") if len(parts) > 1 else ["", url.path.rsplit("/", 1)[1]]
        namespace, plural = inside[0], inside[1]
        prefix = parts[0] if len(parts) > 1 else url.path.rsplit("/", 1)[0]
        watch = query.get("watch") == "true"
        fault = cluster.fault(plural, watch=watch)
        if self.headers["Authorization"] != f"Bearer {cluster.token}":
            self._answer(401, _status(401, "Unauthorized"))
        elif fault is not None:
            self._answer(fault.status, _status(fault.status, fault.message), fault.headers)
        elif plural in cluster.missing or prefix != GROUPS.get(plural):
            self._send(404, b"404 page not found\n")
        elif watch:
            self._watch(plural, namespace, int(query["resourceVersion"]))
        elif len(inside) > 2:
            self._single(plural, namespace, inside[2])
        else:
            self._list(plural, namespace, query)

    def _single(self, plural: str, namespace: str, name: str) -> None:
        found = self.cluster.one(plural, namespace, name)
        missing = {**_status(404, "not found"), "details": {"name": name, "kind": plural}}
        self._answer(404 if found is None else 200, found or missing)

    def _list(self, plural: str, namespace: str, query: dict[str, str]) -> None:
        begin = int(query.get("continue", 0))
        if begin and self.cluster.expire:
            self._answer(410, _status(410, "the continue parameter is too old"))
            return
        version, found = self.cluster.objects(plural, namespace, query.get("labelSelector", ""))
        size = self.cluster.page if "limit" in query else len(found)
        metadata = {"resourceVersion": str(version)}
        if begin + size < len(found):
            metadata["continue"] = str(begin + size)
        items = found[begin : begin + size]
        self._answer(200, {"kind": f"{KINDS[plural]}List", "metadata": metadata, "items": items})

    def _watch(self, plural: str, namespace: str, since: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json;stream=watch")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            if self.cluster.follow(plural, namespace, since, self._chunk):
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass
        self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def _answer(self, status: int, found: Object, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(found).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _name(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]


def _selected(found: Object, selector: str) -> bool:
    labels = found["metadata"].get("labels", {})
    pairs = (one.partition("=") for one in selector.split(",") if one)
    return all(labels.get(name) == value for name, _, value in pairs)


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "metadata": {}, "status": "Failure", "message": message, "code": code}


def _line(event: Object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def virtual_service(
    name: str = "forecast-route", namespace: str = "weather", *, mirror: bool = True, **more: Any
) -> Object:
    """v2 of the forecast serves, v1 gets copies. `more` goes to its metadata."""
    route: Object = {"route": [{"destination": {"host": "forecast", "subset": "v2"}}]}
    if mirror:
        route["mirror"] = {"host": "forecast", "subset": "v1"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace, **more},
        "spec": {"hosts": ["forecast"], "http": [route]},
    }


def destination_rule(*subsets: str, namespace: str = "weather") -> Object:
    """The forecast has these subsets."""
    found = [{"name": one, "labels": {"version": one}} for one in subsets or ("v1", "v2")]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "forecast", "namespace": namespace},
        "spec": {"host": "forecast", "subsets": found},
    }


def pod(name: str, version: str, *, uid: str = "", node: str = "node-a", **status: Any) -> Object:
    """A pod with a sidecar. `status` is added to its status."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "weather",
            "uid": uid or f"uid-of-{name}",
            "labels": {"app": "forecast", "version": version},
            "creationTimestamp": "2026-11-22T15:00:00Z",
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "app"}],
            "initContainers": [{"name": "istio-proxy"}],
        },
        "status": {"phase": "Running", "startTime": "2026-11-22T15:00:01Z", **status},
    }
