"""Reads the settings; the only module that looks at the environment.

A setting comes from, strongest first: the command line, the environment
(`MIRRORPROOF_KAFKA__GROUP`), a TOML file (`[kafka]`, `group = …`; named by `--config` or
`MIRRORPROOF_CONFIG`), its default. What is unknown or contradicts itself stops the start with
one line that names the setting.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
)

from collector.errors import UsageError
from collector.settings import PREFIX, Settings

CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
_TEST_VARIABLES: Final = f"{PREFIX}TEST_"
"""Name the servers that tests use; the program leaves them alone."""

_OF_A_LIST: Final = 3
"""Parts of a place that name an item of a list; one more names a setting of an object in it."""


class SettingInfo(NamedTuple):
    """One setting, for messages and documentation."""

    name: str
    """`kafka.group`"""
    variable: str
    """`MIRRORPROOF_KAFKA__GROUP`"""
    default: object
    description: str


def known_settings() -> Iterator[SettingInfo]:
    """Every setting there is, section by section."""
    for section, field in Settings.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        for name, inner in model.model_fields.items():
            variable = f"{PREFIX}{section}__{name}".upper()
            yield SettingInfo(f"{section}.{name}", variable, inner.default, inner.description or "")


def load(
    overrides: Mapping[str, Mapping[str, object]] | None = None, *, config: Path | None = None
) -> Settings:
    """The settings of this run.

    Args:
        overrides: What the command line says, section by section; None values are not set.
        config: The TOML file; None: the one `MIRRORPROOF_CONFIG` names, if any.

    Raises:
        UsageError: A setting is unknown, impossible or contradicts another one.
    """
    _refuse_unknown_variables()
    given = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in (overrides or {}).items()
    }
    named = os.environ.get(CONFIG_VARIABLE)
    file = _read_toml(config or (Path(named) if named else None))
    make: Callable[..., Settings] = _with_file(file)
    try:
        return make(**{section: values for section, values in given.items() if values})
    except ValidationError as error:
        raise UsageError(_first_problem(error)) from None  # the cause may hold a secret
    except SettingsError:
        # The only setting of objects.
        raise UsageError("setting alerts.endpoints: is no JSON array of objects") from None


def _with_file(file: dict[str, Any]) -> type[Settings]:
    """The settings class with the file's values as the weakest source."""

    class _Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - their signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, file)

    return _Loaded


def _read_toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"settings file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"settings file {path}: {error}") from error


def _refuse_unknown_variables() -> None:
    known = {info.variable for info in known_settings()} | {CONFIG_VARIABLE}
    sections = {f"{PREFIX}{section}".upper() for section in Settings.model_fields}
    for variable in sorted(os.environ):
        name = variable.upper()
        if not name.startswith(PREFIX) or name.startswith(_TEST_VARIABLES):
            continue
        if name not in known and name not in sections:
            raise UsageError(
                f"environment variable {variable} is no setting{_nearest(name, known)}"
            )


def _nearest(name: str, known: set[str]) -> str:
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def _first_problem(error: ValidationError) -> str:
    """One line about the first thing that is wrong, without any value."""
    problem = error.errors(include_input=False, include_url=False)[0]
    place = problem["loc"] if len(problem["loc"]) > _OF_A_LIST else problem["loc"][:2]
    name = ".".join(str(part) for part in place) or "settings"
    if problem["type"] == "extra_forbidden":
        known = {info.name for info in known_settings()}
        return f"setting {name} is unknown{_nearest(name, known)}"
    message = problem["msg"].removeprefix("Value error, ")
    more = error.error_count() - 1
    return f"setting {name}: {message}" + (f" (and {more} more)" if more else "")
