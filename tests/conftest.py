"""Fixtures that all tests share: the broker, the databases, a clean environment.

`tests/servers/choice.py` says which servers run; the header of the run says it again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

import tests.examples  # noqa: F401 - before any test module makes settings of its own
from collector.db.engine import open_engine
from collector.db.migrate import upgrade
from tests.databases import Databases, connections, share_statements
from tests.servers.choice import describe, start_kafka, start_postgres
from tests.servers.kafka import KafkaBroker, MutualTls, Scram, Tls

_NO_SKIPS = "MIRRORPROOF_TEST_NO_SKIPS"


def pytest_configure(config: pytest.Config) -> None:
    """Takes away what the developer's environment could change in a test."""
    for name in list(os.environ):
        ours = name.startswith("MIRRORPROOF_") and not name.startswith("MIRRORPROOF_TEST_")
        if ours or name.startswith("PG"):
            del os.environ[name]
    share_statements()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves generated cases unmeasured: they take twice as long with coverage and add none."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Says what the tests run on."""
    return describe(os.environ)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says why a run without a failure fails."""
    if _skips_forbidden(terminalreporter.config):
        terminalreporter.write_line(f"ERROR: tests were skipped, and {_NO_SKIPS} is set", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where every test has to run (CI), a skipped one fails the run."""
    if exitstatus == pytest.ExitCode.OK and _skips_forbidden(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skips_forbidden(config: pytest.Config) -> bool:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return bool(os.environ.get(_NO_SKIPS) and reporter and reporter.stats.get("skipped"))


@pytest.fixture(autouse=True, scope="module")
def _module_closes_its_connections(request: pytest.FixtureRequest) -> Iterator[None]:
    """Those of fixtures that a whole module shares."""
    yield from _closing(request)


@pytest.fixture(autouse=True)
def _test_closes_its_connections(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test closes the connections to databases that it opened, unless it failed before."""
    yield from _closing(request)


def _closing(request: pytest.FixtureRequest) -> Iterator[None]:
    made, failed = connections.made(), request.session.testsfailed
    yield
    left = connections.close(made)
    if left and request.session.testsfailed == failed:
        pytest.fail(f"connections are left open, which were opened at {', '.join(left)}")


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    """A Kafka broker; make a topic of your own with `create_topic()`."""
    with start_kafka(os.environ) as broker:
        yield broker


@pytest.fixture
def group_kafka(kafka: KafkaBroker) -> KafkaBroker:
    """A broker whose consumer groups join and rebalance as Apache Kafka's do."""
    if not kafka.groups:
        pytest.skip(f"{kafka.kind} has no real consumer groups; .ci/run has Apache Kafka")
    return kafka


@pytest.fixture
def kafka_tls(kafka: KafkaBroker) -> Tls:
    """The TLS listener of the same broker."""
    if kafka.tls is None:
        pytest.skip(f"{kafka.kind} has no TLS listener; .ci/run has Apache Kafka")
    return kafka.tls


@pytest.fixture
def kafka_scram(kafka: KafkaBroker) -> Scram:
    """The listener with user and password of the same broker."""
    if kafka.scram is None:
        pytest.skip(f"{kafka.kind} has no SCRAM listener; .ci/run has Apache Kafka")
    return kafka.scram


@pytest.fixture
def kafka_mutual_tls(kafka: KafkaBroker) -> MutualTls:
    """The listener of the same broker that asks for a client's certificate."""
    if kafka.mutual_tls is None:
        pytest.skip(f"{kafka.kind} asks for no certificates; .ci/run has Apache Kafka")
    return kafka.mutual_tls


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Databases]:
    """A PostgreSQL server, which makes databases. Tests use `postgres_url`."""
    with start_postgres(os.environ) as server, Databases(make_url(server.url)) as databases:
        yield databases


@pytest.fixture
def postgres_url(postgres_server: Databases) -> Iterator[str]:
    """An empty PostgreSQL database of the test's own."""
    with postgres_server.new() as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: Databases) -> Iterator[str]:
    with postgres_server.new() as url:
        _migrate(url)
        yield make_url(url).database or ""


@pytest.fixture
def migrated_postgres_url(postgres_server: Databases, _postgres_template: str) -> Iterator[str]:
    """A PostgreSQL database of the test's own with the newest schema, and no rows."""
    with postgres_server.new(_postgres_template) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An empty SQLite database of the test's own; its file does not exist yet."""
    return f"sqlite:///{tmp_path / 'mirrorproof.db'}"


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "mirrorproof.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def migrated_sqlite_url(sqlite_url: str, tmp_path: Path, _sqlite_template: Path) -> str:
    """A SQLite database of the test's own with the newest schema, and no rows."""
    shutil.copy(_sqlite_template, tmp_path / "mirrorproof.db")
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database: the test runs once on each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_database_url(request: pytest.FixtureRequest) -> str:
    """A database with the newest schema and no rows: the test runs once on each kind."""
    name = "migrated_sqlite_url" if request.param == "sqlite" else "migrated_postgres_url"
    return str(request.getfixturevalue(name))


def _migrate(url: str) -> None:
    engine = open_engine(url)
    try:
        upgrade(engine)
    finally:
        engine.dispose()
