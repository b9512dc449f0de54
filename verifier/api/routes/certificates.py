"""Certificates: a range, signed, to be kept elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from verifier import certificate, signing
from verifier.api import asking
from verifier.api.access import Reader
from verifier.api.asking import Policy, Since, Until
from verifier.api.problems import documented, not_yet
from verifier.api.services import ServicesDep, Snapshot
from verifier.settle import report
from verifier.times import iso_time

router = APIRouter(tags=["audit"])


@router.get("/certificate", responses=documented(404, 409))
def read_certificate(
    _: Reader,
    services: ServicesDep,
    connection: Snapshot,
    policy: Policy,
    since: Since = "1d",
    until: Until = None,
) -> dict[str, Any]:
    """What is stated of a range, the digests that it rests on, and what can still be recomputed.

    Signed with the installation's own key; `mirrorproof audit verify FILE` checks it against the
    database. The range is rounded outwards to whole windows. Left out, `until` is where settling
    has come to; while that is not after `since`, there is nothing to certify yet: 409.
    """
    now_us = services.now_us(connection)
    until_us = report.settled_to_us(connection, policy) if until is None else None
    since_us = asking.read_moment_of("since", since, now_us)
    if until_us is not None and until_us <= since_us < now_us:
        raise not_yet(
            f"nothing of {policy} is settled since {iso_time(since_us)}: settling has come to "
            f"{iso_time(until_us)}. Ask again later, or give `until` for a certificate of a range "
            "that is not settled, which proves nothing"
        )
    span = asking.read_range(connection, policy, since, until, now_us, until_us=until_us).windows
    made = certificate.make(connection, policy, span, now_us)
    return signing.sign(made, signing.signing_key(services.engine))
