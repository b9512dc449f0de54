"""Where the query API listens."""

from __future__ import annotations

import socket

from verifier.api.server import bind


def test_answers_wait_for_no_acknowledgement() -> None:
    """Connections send at once: a body that follows its headers would come 40 ms later."""
    with bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        taken, _ = listening.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
