"""The settings of our own logs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from collector.settings.forms import Section


class LogSettings(Section):
    """The logs of mirrorproof itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important level that is logged."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: readable on a terminal, JSON elsewhere."
    )
