"""The formats that a user names: a text, a JSON object, or the configuration that holds them.

Istio's: `meshConfig` (`accessLogFormat`, `accessLogEncoding`), also inside an IstioOperator, Helm
values or the ConfigMap `istio`; `extensionProviders` (`envoyFileAccessLog.logFormat`), as the
Telemetry API names them; an EnvoyFilter (`log_format`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import yaml

from collector.errors import UsageError
from collector.formats.custom_json import JsonFormat
from collector.formats.custom_text import TextFormat

Format = TextFormat | JsonFormat
MAX_FORMATS: Final = 16
MAX_FILE_CHARACTERS: Final = 4 * 1024 * 1024
_MAX_DEPTH: Final = 40
_LOG_FORMATS: Final = frozenset({"logFormat", "log_format"})


def read_formats(text: str) -> list[Format]:
    """The formats in a text, compiled.

    Args:
        text: One format a line (text formats as they are, JSON formats as one object); or YAML
            or JSON of Istio or Envoy that holds formats. A line that begins with `text:` or
            `json:` says what it is; empty ones and those that begin with `#` are left out.

    Raises:
        UsageError: None is there, or one cannot be used.
    """
    if len(text) > MAX_FILE_CHARACTERS:
        raise UsageError(f"access-log formats: more than {MAX_FILE_CHARACTERS} characters")
    found = list(_of_configuration(text)) or list(_of_lines(text))
    if not found:
        raise UsageError(
            "access-log formats: none found; write one format a line, or give the YAML of a "
            "meshConfig with accessLogFormat"
        )
    if len(found) > MAX_FORMATS:
        raise UsageError(f"access-log formats: {len(found)}; at most {MAX_FORMATS} at a time")
    return found


def compile_format(text: str) -> Format:
    """One format: JSON when it is an object, text otherwise. Raises UsageError."""
    if text.startswith("text:"):
        return TextFormat(text.removeprefix("text:"))
    explicit = text.startswith("json:")
    text = text.removeprefix("json:")
    if not explicit and not text.lstrip().startswith("{"):
        return TextFormat(text)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        if not explicit:
            return TextFormat(text)
        raise UsageError(f"access-log format: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UsageError("access-log format: not a JSON object of keys and operators")
    return JsonFormat(document)


def _of_lines(text: str) -> Iterator[Format]:
    if text.lstrip().startswith("{") and _is_json(text):
        yield compile_format(text)  # over several lines
        return
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield compile_format(line)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _of_configuration(text: str) -> Iterator[Format]:
    """The formats in YAML of Istio or Envoy; none when it is something else."""
    if "ormat" not in text:  # accessLogFormat, logFormat, log_format
        return
    try:
        documents = [one for one in yaml.safe_load_all(text) if isinstance(one, dict | list)]
    except (yaml.YAMLError, RecursionError, ValueError):
        return
    for document in documents:
        yield from _search(document, 0)


def _search(node: Any, depth: int) -> Iterator[Format]:
    """All formats below a node of YAML."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, dict):
        if isinstance(node.get("accessLogFormat"), str) and node["accessLogFormat"].strip():
            yield _of_mesh(node)
        for key, value in node.items():
            if key in _LOG_FORMATS and isinstance(value, dict):
                yield from _of_log_format(value)
            elif key == "mesh" and isinstance(value, str):  # ConfigMap `istio`
                yield from _of_configuration(value)
            else:
                yield from _search(value, depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _search(value, depth + 1)


def _of_mesh(mesh: dict[str, Any]) -> Format:
    """The format of a meshConfig."""
    text = mesh["accessLogFormat"]
    kind = "json" if mesh.get("accessLogEncoding") in ("JSON", 1) else "text"
    return compile_format(f"{kind}:{text}")


def _of_log_format(value: dict[str, Any]) -> Iterator[Format]:
    """The format of an extension provider or an EnvoyFilter."""
    source = value.get("text_format_source", value.get("textFormatSource"))
    inline = source.get("inline_string", source.get("inlineString")) if source else None
    for text in (value.get("text"), value.get("text_format"), value.get("textFormat"), inline):
        if isinstance(text, str) and text.strip():
            yield TextFormat(text)
    for document in (value.get("labels"), value.get("json_format"), value.get("jsonFormat")):
        if isinstance(document, dict) and document:
            yield JsonFormat(document)
