"""What runs, and with which settings."""

from __future__ import annotations

from pathlib import Path


def commands(policy: Path, port: int) -> dict[str, tuple[str, ...]]:
    """The commands of an installation, by name.

    Faults hit the first collector and the first verifier; the others show what years do to them.

    Args:
        policy: A file that may change.
        port: Where the API answers.
    """
    watch = ("--policy", str(policy))
    return {
        "collector-1": ("collect", *watch, "--partitions", "0"),
        "collector-2": ("collect", *watch, "--partitions", "1-2"),
        "verifier-1": ("verify",),
        "verifier-2": ("verify",),
        "api": ("serve", "--listen", f"127.0.0.1:{port}"),
    }


def settings(rate: float, bootstrap: str, topic: str, url: str) -> dict[str, str]:
    """All settings, as variables: what depends on this machine's speed lasts as long as ever."""
    given: dict[str, object] = {
        "KAFKA__BOOTSTRAP_SERVERS": bootstrap, "KAFKA__TOPICS": topic,
        "KAFKA__END_CHECK_S": 0.5 * rate, "KAFKA__STALL_S": 60 * rate,
        "KAFKA__START_TIMEOUT_S": 60 * rate,
        "DATABASE__URL": url, "DATABASE__START_TIMEOUT_S": 60 * rate, "DATABASE__PARTITION": "hour",
        "COLLECTOR__HANG_S": 60 * rate, "COLLECTOR__POLICY_REFRESH_S": min(20, rate / 2),
        "VERIFIER__WINDOW_S": 60, "VERIFIER__HANG_S": 60 * rate, "VERIFIER__MAX_FINDINGS": 10_000,
        "VERIFIER__POLL_S": min(60, rate / 2), "VERIFIER__LEASE_S": min(600, 3 * rate),
        "VERIFIER__SHIPPING_ALLOWANCE_S": rate, "VERIFIER__EVIDENCE_MAX_AGE_S": 5 * rate,
        "RETENTION__LINES_DAYS": 0.25, "RETENTION__BATCHES_DAYS": 0.25,
        "RETENTION__QUARANTINE_DAYS": 0.25, "RETENTION__NODES_DAYS": 0.25,
        "RETENTION__EVERY_S": min(3_600, 5 * rate), "LOG__FORMAT": "json",
    }  # fmt: skip
    return {f"MIRRORPROOF_{name}": str(value) for name, value in given.items()}
