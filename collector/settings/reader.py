"""Makes a reader of records, as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sqlalchemy import Engine

from collector.db.secrets import request_key_secret
from collector.formats.given import read_formats
from collector.formats.parse import Format, LineParser, ReadLine
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.settings import CollectorSettings
from collector.settings.forms import read_secret
from collector.sources.file import pod_of_file
from collector.sources.protocol import Partition


def line_parser(own: CollectorSettings) -> LineParser:
    """What reads lines of the default formats, and of those in the settings.

    Raises:
        UsageError: A format cannot be used, or its file cannot be read.
    """
    return LineParser(formats_of_settings(own))


def formats_of_settings(own: CollectorSettings) -> list[Format]:
    """The formats of the user. Raises UsageError, as `line_parser`."""
    text, name = own.access_log_format, "collector.access_log_format_file"
    found = read_formats(text) if text.strip() else []
    file = read_secret(None, own.access_log_format_file, name)
    return found if file is None else [*found, *read_formats(file)]


def make_reader(
    own: CollectorSettings,
    engine: Engine,
    limits: PoisonLimits,
    read_line: ReadLine | None = None,
    identity_of: Callable[[Partition], Identity] | None = None,
) -> Reader:
    """What reads records as the settings say, but for what is given."""
    secret, read_line = request_key_secret(engine), read_line or line_parser(own).parse
    identity_of = identity_of or _identities(own.cluster)
    return Reader(secret, own.containers, identity_of, limits, read_line)


def _identities(cluster: str) -> Callable[[Partition], Identity]:
    """Who wrote the bare lines of a partition: a file called POD.log names its pod."""

    @lru_cache(maxsize=4096)
    def identity_of(partition: Partition) -> Identity:
        return Identity(pod=pod_of_file(partition), cluster=cluster)

    return identity_of
