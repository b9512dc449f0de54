"""A server of Fluentd's forward protocol, as far as fluent-logger speaks it.

Source: Fluentd, "Forward Protocol Specification v1": a message is [tag, time, record] in msgpack.
"""

from __future__ import annotations

import socket
import struct
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgpack


class Message(NamedTuple):
    """One event."""

    tag: str
    time: datetime
    record: dict[str, Any]


def _event_time(code: int, data: bytes) -> datetime:
    assert code == 0, "not an EventTime"
    seconds, nanoseconds = struct.unpack(">II", data)
    return datetime.fromtimestamp(seconds + nanoseconds / 1e9, UTC)


class ForwardServer:
    """Listens on a free loopback port. Use it as a context manager."""

    def __init__(self) -> None:
        self._server: Final = socket.create_server(("127.0.0.1", 0))
        self._messages: list[Message] = []
        self._changed: Final = threading.Condition()
        self._thread: Final = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.getsockname()[1])

    def wait_for(self, number: int, seconds: float = 20.0) -> list[Message]:
        """Waits until so many messages came, or the time is over; returns what came."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._messages) >= number, seconds)
            return list(self._messages)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(line,), daemon=True).start()

    def _read(self, line: socket.socket) -> None:
        unpacker = msgpack.Unpacker(ext_hook=_event_time)
        with line:
            while data := line.recv(65_536):
                unpacker.feed(data)
                for tag, at, record in unpacker:
                    with self._changed:
                        self._messages.append(Message(tag, at, record))
                        self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
