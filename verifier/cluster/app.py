"""Puts the watcher of the cluster together from the settings."""

from __future__ import annotations

from sqlalchemy import Engine

from collector.clock import Clock, SystemClock
from collector.errors import UsageError
from collector.service.app import owner_name
from collector.settings import ClusterSettings, Settings
from verifier.cluster.api import Server
from verifier.cluster.reflector import Rules
from verifier.cluster.watcher import ClusterWatcher, Watching
from verifier.monitor import Monitor


def server_of(own: ClusterSettings) -> Server:
    """The API server of the settings.

    Raises:
        UsageError: The client is not installed.
    """
    try:
        from verifier.cluster.api_server import ApiServer
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("kubernetes"):
            raise
        raise UsageError("the cluster needs pip install 'mirrorproof[cluster]'") from error
    return ApiServer(own)


def rules_of(settings: Settings) -> Rules:
    """What is taken by these settings."""
    return Rules(settings.cluster.selector, settings.collector.containers)


def build(
    settings: Settings,
    engine: Engine,
    monitor: Monitor,
    clock: Clock | None = None,
) -> ClusterWatcher:
    """A watcher on a migrated database.

    Args:
        settings: All settings.
        engine: The database.
        monitor: Told what is wrong with the cluster, which keeps nothing from its work, and what
            is counted.
        clock: For waiting.

    Raises:
        UsageError: The client is not installed.
    """
    clock, own = clock or SystemClock(), settings.cluster
    return ClusterWatcher(
        Watching(
            engine=engine,
            server=server_of(own),
            clock=clock,
            owner=owner_name(settings),
            lease_s=settings.verifier.lease_s,
            namespaces=own.namespaces,
            rules=rules_of(settings),
            cluster=settings.collector.cluster,
            pods=own.pods,
            tell=lambda words: monitor.health.warn("cluster", words),
            failed=monitor.cluster.failed,
            written=monitor.cluster.written,
        )
    )
