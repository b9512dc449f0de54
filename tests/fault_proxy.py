"""A TCP proxy that misbehaves as told: it cuts, stalls, slows down, or is not there.

It stands between the product and a real server. A Kafka broker tells clients its own address, past
the proxy; `hide` has that address replaced in what it says.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from threading import Event, Lock, Thread
from typing import Final, Self

_HOST: Final = "127.0.0.1"
_CHUNK: Final = 65_536


class _Link:
    """One connection of a client, and the one to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sides = (client, server)
        self.doomed = False

    def cut(self) -> None:
        """Ends both connections at once, in the middle of whatever they say."""
        for side in self.sides:
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.shutdown(socket.SHUT_RDWR)


class FaultProxy:
    """Listens on a port of its own while the block runs.

    Args:
        target: Port of the server on 127.0.0.1; may be set anew, as after a failover.
        hide: Replace the server's address in its answers (Kafka).

    Attributes:
        port: Where clients connect.
        delay_s: How long each piece of an answer takes.
        cut_after: When a client says this, the server's answer to it is lost, with the
            connection; empty: never.
        cuts: How many answers were lost so.
    """

    def __init__(self, target: int, *, hide: bool = False) -> None:
        self.target = target
        self.delay_s = 0.0
        self.cut_after = b""
        self.cuts = 0
        self._hidden = target if hide else None
        self._open = Event()
        self._open.set()
        self._lock = Lock()
        self._links: list[_Link] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._open.set()

    def listen(self) -> None:
        """Takes connections, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, self.port))
        listener.listen(50)
        self._listener, self.port = listener, listener.getsockname()[1]
        Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """The server is gone: connections end, new ones are refused."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Ends all connections; new ones are taken."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.cut()

    def stall(self) -> None:
        """Half-open: takes connections and bytes, and nothing comes back, until `flow`."""
        self._open.clear()

    def flow(self) -> None:
        """Ends `stall`; what was held back is delivered."""
        self._open.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection((_HOST, self.target))
            except OSError:
                client.close()
                continue
            link = _Link(client, server)
            with self._lock:
                self._links.append(link)
            for source, sink in ((client, server), (server, client)):
                Thread(target=self._pump, args=(link, source, sink), daemon=True).start()

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket) -> None:
        is_answer = sink is link.sides[0]
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._open.wait()
                if is_answer and link.doomed:
                    self.cuts += 1
                    break
                if is_answer:
                    time.sleep(self.delay_s)
                    data = self._hide(data)
                elif self.cut_after and self.cut_after in data:
                    link.doomed = True
                sink.sendall(data)
        link.cut()
        source.close()

    def _hide(self, data: bytes) -> bytes:
        if self._hidden is None:
            return data
        host = _HOST.encode()
        theirs, ours = (host + struct.pack(">i", port) for port in (self._hidden, self.port))
        return data.replace(theirs, ours)
