"""The forms that settings have: lists, brokers, partitions, secrets, what may not be empty."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr
from pydantic_settings import NoDecode

from collector.errors import UsageError

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


class Section(BaseModel):
    """A group of settings: nothing unknown, nothing changed, no value in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def exclusive(section: BaseModel, *names: str) -> None:
    """Raises ValueError when more than one of the settings is set."""
    given = [name for name in names if getattr(section, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} contradict each other; set one of them")


def read_secret(value: SecretStr | None, file: Path | None, name: str) -> str | None:
    """A secret, given itself or by its file; None: neither is set.

    Raises:
        UsageError: The file cannot be read; `name` says which setting names it.
    """
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"{name}: cannot read {file}: {reason}") from error
