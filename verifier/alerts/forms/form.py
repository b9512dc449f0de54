"""What a form of alert is made of: pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from verifier.alerts.exchange import Reply, Request
from verifier.alerts.outcome import Result
from verifier.incidents.event import Event

_ENCODER: Final = msgspec.json.Encoder()


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where an endpoint is, and what it is to know us by. All of it is secret.

    Attributes:
        url: Where.
        secrets: Of the form: signing secrets, newest first, or a routing key.
        authorization: Value of the header of that name; None: without.
    """

    url: str
    secrets: tuple[str, ...] = ()
    authorization: str | None = None


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says besides its event.

    Attributes:
        source: Name of this installation; may be empty.
        external_url: Where people find our page, without a slash at its end; empty: nowhere.
        now_us: When it is sent, wall clock.
    """

    source: str = ""
    external_url: str = ""
    now_us: int = 0

    def link(self, event: Event) -> str:
        """Where to read more; empty: nowhere."""
        if not self.external_url or event.test:
            return self.external_url
        return f"{self.external_url}/incidents/{event.incident_id}"


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind of receiver is told by HTTP.

    Attributes:
        name: As in the settings.
        request: Makes the request for an event.
        judge: What its answer means where the status alone does not say; None: the status does.
    """

    name: str
    request: Callable[[Event, Address, About], Request]
    judge: Callable[[Reply], Result | None] = lambda _reply: None


class Size(msgspec.Struct, frozen=True):
    """How much of an event is told: examples, and characters of each text."""

    examples: int
    characters: int


_SIZES: Final = (Size(10, 1_000), Size(5, 1_000), Size(3, 500), Size(1, 300), Size(0, 150))

Body = TypeVar("Body", bound=Mapping[str, Any] | list[Any])


def fitted(make: Callable[[Size], Body], most_bytes: int) -> bytes:
    """The body that tells most and is small enough, as JSON in UTF-8.

    Raises:
        ValueError: Even the smallest one is too large.
    """
    body = b""
    for size in _SIZES:
        body = _ENCODER.encode(make(size))
        if len(body) < most_bytes:
            return body
    raise ValueError(f"{len(body)} bytes do not fit into {most_bytes}")


def posting(address: Address, body: bytes, content_type: str = "application/json") -> Request:
    """A request with a body and the headers that every form has."""
    headers = {"content-type": content_type}
    if address.authorization:
        headers["authorization"] = address.authorization
    return Request(url=address.url, body=body, headers=headers)
