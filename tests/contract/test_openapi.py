"""The API keeps to its own description, whatever it is asked: schemathesis asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import create_engine

from collector.db.engine import open_engine
from tests.api import make_key, services_of
from tests.examples import MANY
from tests.settling import NOW, SECOND, World, make_policy, request
from verifier.api.app import create_app
from verifier.api.scopes import Scope

_CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def _routes() -> list[tuple[str, str]]:
    engine = create_engine("sqlite://")
    paths = create_app(services_of(engine, 0)).openapi()["paths"]
    engine.dispose()
    return [(path, method.upper()) for path, methods in paths.items() for method in methods]


DATABASES: Final = ["sqlite"] if MANY == 1 else ["sqlite", "postgresql"]
"""`make test` asks over the quick one only: questions are what matters."""


@pytest.fixture(scope="module", params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database for all routes."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("openapi") / "mirrorproof.db"
        shutil.copy(request.getfixturevalue("_sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    template = request.getfixturevalue("_postgres_template")
    with request.getfixturevalue("postgres_server").new(template) as made:
        yield made


@pytest.fixture(scope="module")
def asked(url: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """The description of an API over something settled, and the headers of who may do all."""
    engine = open_engine(url)
    world = World(engine)
    world.declare(make_policy(("v1", 100)))
    lines = [line for number in range(4) for line in request(number, NOW + number * 10 * SECOND)]
    world.write([line for line in lines if line.key != 2 or line.pod != "mirror0"])
    world.settle_all()
    services = services_of(engine, world.now_us, rate_burst=1_000_000, rate_per_s=100_000)
    key = make_key(services, Scope.ADMIN)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", create_app(services))
    yield schema, {"X-API-Key": key}
    engine.dispose()


@pytest.mark.parametrize(("path", "method"), _routes())
def test_answers_are_as_described(
    asked: tuple[Any, dict[str, str]], path: str, method: str
) -> None:
    """No error of ours, and status, type, headers and body as the OpenAPI document says."""
    schema, headers = asked
    operation = schema[path][method]

    nothing_to_ask = not operation.query and not operation.path_parameters
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode.is_negative and nothing_to_ask and not operation.body:
            continue

        @settings(
            max_examples=4 * MANY, deadline=None, database=None, derandomize=MANY == 1,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=_CHECKS)

        ask()
