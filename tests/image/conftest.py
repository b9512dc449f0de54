"""The engine and the image, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.image.engine import Engine, docker_engine
from tests.image.making import base_image, build_ours, without_shell


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine."""
    with docker_engine() as found:
        if found is None:
            pytest.skip("no Docker engine answers here, and there is no dockerd to start as root")
        yield found


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """The image that others are built on."""
    return base_image(engine)


@pytest.fixture(scope="session")
def image(engine: Engine, base: str) -> Any:
    """Ours, on a base without a shell."""
    return build_ours(engine, base, without_shell(engine, base))
