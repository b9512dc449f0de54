"""Makes and checks certificates against a database; see `certificate`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from collector.db.engine import reading
from collector.errors import InputError, UsageError
from verifier import certificate, signing
from verifier.settle import report
from verifier.settle.lease import database_now_us
from verifier.settle.progress import progress_of
from verifier.settle.windows import Span
from verifier.times import iso_time, read_moment


def certify(engine: Engine, policy: str, since: str, until: str | None) -> dict[str, Any]:
    """A signed certificate of a range, rounded outwards to whole windows.

    Raises:
        UsageError: Nothing was ever settled of such a policy, or a time cannot be read.
    """
    key = signing.signing_key(engine)
    with reading(engine) as connection:
        progress = progress_of(connection, policy)
        if progress is None:
            known = ", ".join(report.policy_names(connection)) or "none yet"
            raise UsageError(f"no policy {policy!r} was ever settled; there are: {known}")
        now_us = database_now_us(connection)
        until_us = progress.settled_to_us
        if until is not None:
            until_us = read_moment("--until", until, now_us)
        since_us = read_moment("--since", since, now_us)
        if since_us >= until_us and until is None:
            come = iso_time(until_us)
            raise UsageError(f"nothing is settled since --since: settling has come to {come}")
        if since_us >= until_us:
            raise UsageError("--since is not before --until")
        grid = progress.grid
        span = Span(grid.window(since_us).start_us, grid.window(until_us - 1).end_us)
        made = certificate.make(connection, policy, span, now_us)
    return signing.sign(made, key)


def check(engine: Engine, given: dict[str, Any]) -> dict[str, Any]:
    """What does not fit of a certificate.

    Returns:
        `misfits` in words, and `revised`: how many revisions its windows got since, which is no
        misfit.

    Raises:
        InputError: It is no certificate.
    """
    found = []
    if not signing.is_signed(given):
        found.append("its signature does not fit: it was changed, or is not signed")
    elif given["signature"]["public_key"] != signing.public_text(signing.signing_key(engine)):
        found.append("another installation signed it")
    try:
        with reading(engine) as connection:
            found += certificate.misfits(connection, given)
            revised = certificate.revised_since(connection, given)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"is no certificate of mirrorproof: {error}") from error
    return {"policy": given["policy"], "misfits": found, "revised": revised}
