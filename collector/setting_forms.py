"""The forms that settings have: lists, brokers, partitions, what may not be empty. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

_BROKER: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+):(\d{1,5})")
_LAST_PORT: Final = 65_535


def _split(value: object) -> object:
    """`a, b` as the list that it means; lists stay."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def parse_partitions(text: str) -> tuple[int, ...]:
    """`0-3,7` as numbers, sorted, each once. Raises ValueError."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*", part)
        if not match:
            raise ValueError(f"{text!r} is no list of partitions like 0-3,7")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise ValueError(f"{part.strip()!r} goes backwards")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _partitions(value: object) -> object:
    return parse_partitions(value) if isinstance(value, str) else value


def _brokers(found: tuple[str, ...]) -> tuple[str, ...]:
    """Brokers as `HOST:PORT`, at least one. Raises ValueError."""
    if not found:
        raise ValueError("names no broker; write HOST:PORT")
    for broker in found:
        match = _BROKER.fullmatch(broker)
        if not match or not 1 <= int(match[1]) <= _LAST_PORT:
            raise ValueError(f"{broker!r} is not HOST:PORT, without a scheme, as kafka:9092")
    return found


def _topics(found: tuple[str, ...]) -> tuple[str, ...]:
    """Topics, at least one. Raises ValueError."""
    if not found or not all(topic.strip() for topic in found):
        raise ValueError("names no topic, or an empty one")
    return found


def _listen(text: str) -> str:
    """`HOST:PORT`, `:PORT` or nothing. Raises ValueError."""
    match = _BROKER.fullmatch(f"x{text}" if text.startswith(":") else text)
    if text and (not match or int(match[1]) > _LAST_PORT):
        raise ValueError(f"{text!r} is not HOST:PORT or :PORT")
    return text


def _database_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().strip():
        raise ValueError("is empty; leave it out, or write sqlite:///FILE or postgresql://…")
    return url


def _file_name(value: object) -> object:
    """A path of no characters would be the folder we are in. Raises ValueError."""
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty; leave it out, or name a file")
    return value


Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Brokers = Annotated[Texts, AfterValidator(_brokers)]
Topics = Annotated[Texts, AfterValidator(_topics)]
Partitions = Annotated[tuple[int, ...] | None, NoDecode, BeforeValidator(_partitions)]
Listen = Annotated[str, AfterValidator(_listen)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
FileName = Annotated[Path, BeforeValidator(_file_name)]
