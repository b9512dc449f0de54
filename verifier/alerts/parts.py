"""What a deliverer is made of."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
from sqlalchemy import Engine

from collector.clock import Clock
from verifier.alerts.endpoints import Endpoint
from verifier.alerts.lines import Lines
from verifier.alerts.senders import Senders
from verifier.alerts.vault import Vault
from verifier.settle.lease import DatabaseClock, database_now_us


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a deliverer is made of.

    Attributes:
        engine: The database, migrated.
        clock: For waiting, and the wall clock that receivers see.
        endpoints: Of the settings.
        senders: Make what sends.
        lines: What is cut when we end; the senders' own.
        poll_s: How often to look.
        database_now_us: The database's clock.
        spread: For jitter.
        grace_s: Receivers have so long to answer when we end; then connections are cut.
        vault: Opens the endpoints that the API added.
    """

    engine: Engine
    clock: Clock
    endpoints: list[Endpoint]
    senders: Senders
    lines: Lines
    poll_s: float = 0.5
    database_now_us: DatabaseClock = database_now_us
    spread: Callable[[], float] = random.random
    grace_s: float = 3.0
    vault: Vault = msgspec.field(default_factory=Vault)
