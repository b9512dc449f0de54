"""What is asked of an API server, and what may come of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from collector.errors import Retryable
from verifier.cluster.resources import Kind

PAGE: Final = 500
"""Objects in a part of a list, as the server's own clients ask for."""


class Gone(Retryable):
    """What we know is too old to go on from: it is listed again."""


class Busy(Retryable):
    """The server asks us to wait.

    Attributes:
        wait_s: For how long, at least.
    """

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s: Final = wait_s


class NotInstalled(Retryable):
    """The server does not know this kind."""


class NotAllowed(Retryable):
    """Our service account lacks a right; somebody may grant it while we run."""


class Asked(msgspec.Struct, frozen=True):
    """Which objects are asked for.

    Attributes:
        api: Version of the API.
        namespace: Empty: all.
        selector: Of labels; empty: all.
        limit: Most objects in a part of a list; 0: all at once.
        rest: Token of a further part.
    """

    api: str
    namespace: str
    selector: str = ""
    limit: int = 0
    rest: str = ""


class Page(msgspec.Struct):
    """A part of a list.

    Attributes:
        items: JSON of each object.
        version: Of the list as a whole.
        rest: Token of the next part; empty: there is none.
    """

    items: list[bytes]
    version: str
    rest: str


class Stream(Protocol):
    """The lines of a watch."""

    def lines(self) -> Iterator[bytes]:
        """Whole lines as they come. Raises Retryable: the connection broke."""
        ...

    def close(self) -> None:
        """Ends it, also from another thread."""
        ...


class Server(Protocol):
    """What is asked of an API server."""

    def page(self, kind: Kind, asked: Asked) -> Page:
        """A part of a list; the first one without `rest`."""
        ...

    def exists(self, kind: Kind, asked: Asked, name: str) -> bool:
        """Whether an object is there, asked for by its name."""
        ...

    def watch(self, kind: Kind, asked: Asked, since: str) -> Stream:
        """What changes after a version."""
        ...
