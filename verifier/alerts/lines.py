"""Connections to receivers: to checked addresses only, within one deadline, and cut when we end.

A receiver may be anything, also hostile: its name may lead into our own network, it may send a
byte a minute. Time-outs of single reads do not help against that; the deadline is of the attempt.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import time
from collections.abc import Iterable
from threading import Lock, Thread
from typing import Any, Final

import httpcore2

from verifier.alerts.addresses import refusal

_LOOK_S: Final = 0.2
"""How often it is looked whether we end, where nothing can wake us."""


class SendFailed(Exception):
    """An attempt brought no answer; the message says why, without a URL."""


class Interrupted(Exception):
    """We end, and cut the connection."""


class Deadline:
    """The end of an attempt. Raises SendFailed when it is reached."""

    def __init__(self, seconds: float) -> None:
        self._end_s: Final = time.monotonic() + seconds
        self._seconds: Final = seconds

    def left_s(self) -> float:
        """Seconds that are left, more than none."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise self.reached()
        return left_s

    def reached(self) -> SendFailed:
        """What to raise when it is reached."""
        return SendFailed(f"no answer within {self._seconds:g} s")


class Lines:
    """All connections that are open, so that they can be cut."""

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._open: Final[set[socket.socket]] = set()
        self.is_cut = False

    def cut(self) -> None:
        """Ends all connections at once, and those that are made later."""
        with self._lock:
            self.is_cut = True
            for line in self._open:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def add(self, line: socket.socket) -> None:
        """Remembers a connection. Raises Interrupted."""
        with self._lock:
            if self.is_cut:
                raise Interrupted
            self._open.add(line)

    def remove(self, line: socket.socket) -> None:
        """Forgets a connection that is closed."""
        with self._lock:
            self._open.discard(line)


def resolve(
    host: str, port: int, deadline: Deadline, lines: Lines, *, allow_private: bool
) -> list[str]:
    """The addresses of a host, asked for once, all of them checked.

    Raises:
        SendFailed: There is none in time, or one may not be called.
        Interrupted: The lines were cut.
    """
    answers: queue.SimpleQueue[list[str] | str] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(info[4][0]) for info in found)))
        except (OSError, UnicodeError) as error:
            answers.put(getattr(error, "strerror", None) or "not a host name")

    # The resolver knows no deadline.
    Thread(target=ask, name="resolve", daemon=True).start()
    answer: list[str] | str | None = None
    while answer is None:
        with contextlib.suppress(queue.Empty):
            answer = answers.get(timeout=min(deadline.left_s(), _LOOK_S))
        if lines.is_cut:
            raise Interrupted
    if isinstance(answer, str) or not answer:
        raise SendFailed(f"host not found: {answer or 'no address'}")
    for address in answer:
        reason = refusal(address, allow_private=allow_private)
        if reason is not None:
            raise SendFailed(f"refused to call a {reason}; see allow_private")
    return answer


def connect(addresses: list[str], port: int, deadline: Deadline, lines: Lines) -> socket.socket:
    """A connection to the first address that answers. Raises SendFailed, Interrupted."""
    reason = ""
    for number, address in enumerate(addresses):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        line = socket.socket(family, socket.SOCK_STREAM)
        try:
            lines.add(line)  # before it connects: that can take long, too
            line.settimeout(deadline.left_s() / (len(addresses) - number))
            line.connect((address, port))
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
        except (OSError, SendFailed, Interrupted) as error:
            lines.remove(line)
            line.close()
            if lines.is_cut:
                raise Interrupted from error
            if isinstance(error, SendFailed):
                raise
            reason = "no answer" if isinstance(error, TimeoutError) else _words(error)
    raise SendFailed(f"cannot connect: {reason}")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


class Backend(httpcore2.NetworkBackend):
    """Makes the connection of one attempt.

    Args:
        deadline: Of the attempt.
        lines: Where connections are remembered.
        allow_private: Whether our own networks may be called.
    """

    def __init__(self, deadline: Deadline, lines: Lines, *, allow_private: bool) -> None:
        self._deadline: Final = deadline
        self._lines: Final = lines
        self._allow_private: Final = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline counts
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        """See httpcore2. The name goes on to TLS and the Host header, the address does not."""
        lines, deadline = self._lines, self._deadline
        addresses = resolve(host, port, deadline, lines, allow_private=self._allow_private)
        return _Stream(connect(addresses, port, deadline, lines), deadline, lines)


class _Stream(httpcore2.NetworkStream):
    """One connection, every step within the deadline."""

    def __init__(self, line: socket.socket, deadline: Deadline, lines: Lines) -> None:
        self._line, self._deadline, self._lines = line, deadline, lines

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        try:
            self._line.settimeout(self._deadline.left_s())
            return self._line.recv(max_bytes)
        except OSError as error:
            raise self._failure(error) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        view = memoryview(buffer)
        try:
            while view:
                self._line.settimeout(self._deadline.left_s())
                view = view[self._line.send(view) :]
        except TimeoutError as error:
            raise self._failure(error) from error
        except OSError as error:
            # A receiver may answer before it has read all; the answer is worth more.
            raise httpcore2.WriteError(str(error)) from error

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        plain = self._line
        try:
            plain.settimeout(self._deadline.left_s())
            secure = ssl_context.wrap_socket(
                plain, server_hostname=server_hostname, do_handshake_on_connect=False
            )
        except OSError as error:
            raise self._failure(error) from error
        self._lines.remove(plain)  # its descriptor is the new one's now
        stream = _Stream(secure, self._deadline, self._lines)
        try:
            self._lines.add(secure)
            secure.do_handshake()
        except (OSError, Interrupted) as error:
            stream.close()
            raise self._failure(error) from error
        return stream

    def close(self) -> None:
        self._lines.remove(self._line)
        self._line.close()

    def get_extra_info(self, info: str) -> Any:
        return self._line if info == "socket" else None

    def _failure(self, error: Exception) -> Exception:
        """What to raise instead: without an address, and in words."""
        if self._lines.is_cut:
            return Interrupted()
        if isinstance(error, TimeoutError):
            return self._deadline.reached()
        if isinstance(error, ssl.SSLCertVerificationError):
            return SendFailed(f"TLS: certificate refused: {error.verify_message}")
        if isinstance(error, ssl.SSLError):
            return SendFailed(f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}")
        return SendFailed(
            f"connection lost: {getattr(error, 'strerror', None) or 'by the receiver'}"
        )
