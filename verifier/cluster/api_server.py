"""The API server, by the official client: its credentials and connections; answers as bytes.

The client's own `Watch` and informers are not used: they give lines that they cannot read away in
silence, ask again at once whatever happens, take an empty list for the truth, and make an object
of each field of each pod.

Source: Kubernetes API concepts, "Efficient detection of changes" and "Retrieving large results
sets in chunks".
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from collector.errors import Retryable, UsageError
from collector.settings.cluster import ClusterSettings
from verifier.cluster.api import Asked, Busy, Gone, NotAllowed, NotInstalled, Page, Stream
from verifier.cluster.resources import Kind
from verifier.policies.node import one_line

_CONNECT_S: Final = 10.0
_MOST_BYTES: Final = 256 * 1024 * 1024
"""Of a page; 500 objects of the most that etcd takes, 1.5 MiB, are more, and nobody has those."""
_MOST_LINE: Final = 8 * 1024 * 1024
_MOST_WAIT_S: Final = 60.0


class _ListMeta(msgspec.Struct, rename={"version": "resourceVersion", "rest": "continue"}):
    version: str = ""
    rest: str = ""


class _List(msgspec.Struct):
    kind: str
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Status(msgspec.Struct):
    reason: str = ""
    message: str = ""
    details: dict[str, Any] | None = None


class ApiServer:
    """An API server; several threads may ask at the same time.

    Args:
        settings: How to reach it.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings: Final = settings
        self._client: ApiClient | None = None
        self._was_known = False

    def page(self, kind: Kind, asked: Asked) -> Page:
        """See `Server`.

        Raises:
            Gone, NotAllowed, NotInstalled, Busy, Retryable: The server; try again.
            UsageError: We do not know how to reach it.
        """
        query = {
            "labelSelector": asked.selector,
            "limit": str(asked.limit or ""),
            "continue": asked.rest,
        }
        body = self._body(kind.path(asked.api, asked.namespace), query)
        try:
            found = msgspec.json.decode(body, type=_List)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Retryable(f"the list of {kind.plural} cannot be read: {error}") from error
        if not found.kind.endswith("List") or not found.metadata.version or found.items is None:
            raise Retryable(f"what came as list of {kind.plural} is none, but a {found.kind[:60]}")
        return Page(
            [bytes(one) for one in found.items], found.metadata.version, found.metadata.rest
        )

    def exists(self, kind: Kind, asked: Asked, name: str) -> bool:
        """See `Server`; raises as `page`. Only the server's own word counts for a no."""
        path = kind.path(asked.api, asked.namespace, name)
        response = self._ask(path, {}, self._settings.timeout_s)
        with contextlib.closing(response):
            if response.status == 200:
                return True
            status = _status(response)
        if response.status == 404 and (status.details or {}).get("name") == name:
            return False
        raise _refusal(path, response, status)

    def watch(self, kind: Kind, asked: Asked, since: str) -> Stream:
        """See `Server`; raises as `page`."""
        query = {
            "labelSelector": asked.selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(self._settings.watch_s),
        }
        path = kind.path(asked.api, asked.namespace)
        response = self._ask(path, query, self._settings.watch_s + self._settings.timeout_s)
        if response.status != 200:
            with contextlib.closing(response):
                raise _refusal(path, response, _status(response))
        return _Lines(response)

    def _body(self, path: str, query: dict[str, str]) -> bytes:
        response = self._ask(path, query, self._settings.timeout_s)
        with contextlib.closing(response):
            if response.status != 200:
                raise _refusal(path, response, _status(response))
            try:
                body = response.read(_MOST_BYTES + 1)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _broken(path, error) from error
        if len(body) > _MOST_BYTES:
            raise Retryable(f"{path}: a part of the list is larger than {_MOST_BYTES} bytes")
        return bytes(body)

    def _ask(self, path: str, query: dict[str, str], timeout_s: float) -> urllib3.BaseHTTPResponse:
        client = self._connected()
        try:
            method, url, headers, *_ = client.param_serialize(
                method="GET",
                resource_path=path,
                query_params=[(key, value) for key, value in query.items() if value],
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
            )
            answer = client.call_api(
                method, url, header_params=headers, _request_timeout=(_CONNECT_S, timeout_s)
            )
        except (ApiException, ConfigException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _broken(path, error) from error
        found: urllib3.BaseHTTPResponse = answer.response
        if found.status == 401:
            # The token expired, or another one is valid now: it is read again.
            self._client = None
        return found

    def _connected(self) -> ApiClient:
        client = self._client
        if client is None:
            client = self._client = ApiClient(configuration=self._read_configuration())
            self._was_known = True
        return client

    def _read_configuration(self) -> Configuration:
        try:
            return _configuration(self._settings)
        except UsageError as error:
            file = self._settings.kubeconfig
            if not (self._was_known and file and file.exists()):
                raise
            # Somebody writes it at this moment.
            raise Retryable(str(error)) from error


class _Lines:
    """See `Stream`."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response: Final = response

    def lines(self) -> Iterator[bytes]:
        """See `Stream`; half a line at the end is dropped, as it will come again."""
        rest = bytearray()
        try:
            for piece in self._response.stream(amt=None, decode_content=False):
                rest += piece
                *whole, tail = rest.split(b"\n")
                rest = bytearray(tail)
                yield from (bytes(line) for line in whole if line)
                if len(rest) > _MOST_LINE:
                    raise Gone(f"an event is larger than {_MOST_LINE} bytes")
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # The last two come where `close` was called meanwhile.
            raise _broken("watch", error) from error

    def close(self) -> None:
        """See `Stream`."""
        connection = getattr(self._response, "connection", None)
        sock = getattr(connection, "sock", None)
        if sock is not None:
            # A thread that reads would keep `close` waiting.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._response.close()


def _configuration(own: ClusterSettings) -> Configuration:
    """How to reach the server. Raises UsageError: neither a pod's account nor a file says so."""
    found = Configuration()
    # The client's own tries wait in silence, and follow redirects with our token.
    found.retries = False
    try:
        if own.kubeconfig is None:
            load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
        else:
            load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(own.kubeconfig),
                context=own.context or None,
                client_configuration=found,
                persist_config=False,
            )
    except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        where = "cluster.kubeconfig" if own.kubeconfig else "no cluster.kubeconfig, and in no pod"
        raise UsageError(f"{where}: {one_line(str(error))}") from error
    found.socket_options = _keep_alive()
    return found


def _keep_alive() -> list[tuple[int, int, int]]:
    """Finds a peer that vanished within a minute."""
    return [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    ]


def _status(response: urllib3.BaseHTTPResponse) -> _Status:
    """What the server says of a refusal, as far as it can be read."""
    try:
        return msgspec.json.decode(response.read(1 << 20), type=_Status)
    except (msgspec.DecodeError, urllib3.exceptions.HTTPError, OSError, UnicodeDecodeError):
        return _Status()


def _refusal(path: str, response: urllib3.BaseHTTPResponse, status: _Status) -> Retryable:
    """The error to raise for an answer that is none."""
    said = one_line(status.message or status.reason or response.reason or "")[:300]
    words = f"{path}: {response.status} {said}".rstrip()
    code = response.status
    if code == 410:
        return Gone(words)
    if code == 401:
        return Retryable(f"{words}; the token is read again")
    if code == 403:
        return NotAllowed(f"{words}; the service account needs get, list and watch")
    if code == 404:
        return NotInstalled(words)
    if code in (429, 500, 502, 503, 504):
        return Busy(words, _retry_after_s(response))
    # Whatever we asked from, the server does not take it.
    return Gone(words)


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), _MOST_WAIT_S) if value.isdecimal() else 0.0


def _broken(path: str, error: Exception) -> Retryable:
    reason = error.args[-1] if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    return Retryable(f"{path}: {one_line(str(reason))[:300] or type(error).__name__}")
