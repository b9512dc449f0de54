"""Options that the commands of `mirrorproof quarantine` share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from collector.errors import UsageError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SinceOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="As 30m, 24h, 7d, or 2026-11-22T15:00:00Z.")
]
ReasonOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Part of the reason.")]
TopicOption = Annotated[str | None, typer.Option(help="Only of this topic.")]
PartitionOption = Annotated[int | None, typer.Option(min=0, help="Only of this partition.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]
KafkaOption = Annotated[
    str | None, typer.Option(metavar="HOST:PORT,…", help="Kafka brokers to begin with.")
]


def read_since(text: str | None) -> int | None:
    """A time, or how long ago, in µs since the epoch. Raises UsageError."""
    if text is None:
        return None
    if text[:-1].isdigit() and text[-1] in _UNITS:
        ago = timedelta(seconds=min(int(text[:-1][:9]) * _UNITS[text[-1]], 10**10))
        return int((datetime.now(UTC) - ago).timestamp() * 1_000_000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--since {text}: write 30m, 24h, 7d or 2026-11-22T15:00:00Z") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)
