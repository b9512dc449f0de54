"""Connections of callers: those that dawdle are cut, so that they take no place from others."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientForAWhile(H11Protocol):
    """HTTP, where a request must come, and an answer go, within a time.

    uvicorn bounds only how long a connection may rest between two requests.
    """

    ASK_S: ClassVar[float] = 20.0
    """A whole request, with its body, from when its first byte could come."""
    TAKE_S: ClassVar[float] = 30.0
    """Until a caller takes some more of what is sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._asking = self.loop.call_later(self.ASK_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        begun = self.conn.their_state is h11.SEND_BODY or (
            self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
        )
        if not begun:
            _cancel(self._asking)
            self._asking = None
        elif self._asking is None:
            self._asking = self.loop.call_later(self.ASK_S, self.transport.abort)

    def pause_writing(self) -> None:
        """See asyncio."""
        super().pause_writing()
        self._taking = self.loop.call_later(self.TAKE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio."""
        super().resume_writing()
        _cancel(self._taking)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        _cancel(self._asking)
        _cancel(self._taking)
        super().connection_lost(exc)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
