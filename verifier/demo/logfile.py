"""Sends the product's own log to a file: the terminal belongs to the demo's table."""

from __future__ import annotations

import logging
from pathlib import Path

from collector import log


def log_to_file(path: Path) -> None:
    """Writes everything from INFO up to a file, as JSON, from now on."""
    log.configure("info", "json")
    root = logging.getLogger()
    (console,) = root.handlers
    file = logging.FileHandler(path, delay=True)
    file.setFormatter(console.formatter)
    root.handlers[:] = [file]
