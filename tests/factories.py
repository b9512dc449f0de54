"""Lines and terms for tests: each has sensible values, and any of them can be overridden.

Times are in milliseconds here, for people; the lines hold microseconds.
"""

from __future__ import annotations

import itertools

from collector.records import AccessLog
from collector.traits import Trait, traits_of
from verifier.pairing.lines import Line, MirrorGroup, Reason, Side, Terms

SENDER_POD, PRIMARY_POD, MIRROR_POD = 1, 2, 3
_numbers = itertools.count(1)


def access_log(**fields: object) -> AccessLog:
    """One parsed access-log line of a request that v2 answered."""
    values: dict[str, object] = {
        "start_us": 1_764_000_000_000_000,
        "duration_ms": 4,
        "method": "GET",
        "path": "/weather?n=1",
        "code": 200,
        "flags": "",
        "details": "via_upstream",
        "bytes_received": 0,
        "bytes_sent": 100,
        "forwarded_for": "",
        "user_agent": "curl/7.52.1",
        "request_id": "46ce024f-97b3-4a45-8f73-2d4ef365608d",
        "authority": "forecast:3002",
        "upstream_host": "10.0.0.1:3002",
        "cluster": "inbound|3002||",
        "upstream_local": "",
        "downstream_local": "",
        "downstream_remote": "",
        "server_name": "",
        "route": "default",
    }
    return AccessLog(**(values | fields))  # type: ignore[arg-type]


def hops(number: int | None) -> int:
    """The traits of a line with so many X-Forwarded-For addresses; None: not logged."""
    text = None if number is None else ",".join(["192.0.2.2"] * number)
    return traits_of(access_log(forwarded_for=text), shadow_host=False)


def line(
    side: Side,
    *,
    at: float = 0,
    lasts: float = 10,
    code: int = 200,
    flags: str = "",
    traits: int = 0,
    xff: int | None = None,
    attempt: int = 0,
    mirror: int = 0,
    pod: int = 9,
    line_id: int | None = None,
) -> Line:
    """A line of any side; `traits` are added to those that code and flags mean."""
    log = access_log(code=code, flags=flags, upstream_host="", details="", forwarded_for=None)
    start_us = round(at * 1000)
    return Line(
        side,
        mirror,
        start_us,
        start_us + round(lasts * 1000),
        code,
        traits_of(log, shadow_host=False) | traits | hops(xff),
        attempt,
        pod,
        next(_numbers) if line_id is None else line_id,
    )


def client(**fields: object) -> Line:
    """A sender's line towards the primary."""
    return line(Side.CLIENT_LIVE, **({"pod": SENDER_POD} | fields))  # type: ignore[arg-type]


def leaking(**fields: object) -> Line:
    """A sender's line towards the mirror: live traffic that leaks."""
    return line(Side.CLIENT_MIRROR, **({"pod": SENDER_POD} | fields))  # type: ignore[arg-type]


def bypassing(**fields: object) -> Line:
    """A sender's line towards the host on another route."""
    return line(Side.CLIENT_OTHER, **({"pod": SENDER_POD} | fields))  # type: ignore[arg-type]


def attempt(**fields: object) -> Line:
    """A line of the primary's pod."""
    return line(Side.SERVER_LIVE, **({"at": 1, "lasts": 8, "pod": PRIMARY_POD} | fields))  # type: ignore[arg-type]


def arrival(**fields: object) -> Line:
    """A line of the mirror's pod, without any mark."""
    return line(Side.SERVER_MIRROR, **({"at": 2, "lasts": 8, "pod": MIRROR_POD} | fields))  # type: ignore[arg-type]


def shadow(**fields: object) -> Line:
    """A line of the mirror's pod whose authority ends in `-shadow`: surely a copy."""
    return arrival(**({"traits": Trait.SHADOW_HOST} | fields))


def stranger(**fields: object) -> Line:
    """A line of a watched host's pod of unknown version."""
    return line(Side.SERVER_UNKNOWN, **({"at": 2, "lasts": 8} | fields))  # type: ignore[arg-type]


def foreign(**fields: object) -> Line:
    """A line of a pod that nothing says to be of the watched host."""
    return line(Side.SERVER_OTHER, **({"at": 2, "lasts": 8} | fields))  # type: ignore[arg-type]


def mirror(*percents: float, live: bool = False, name: str = "v1") -> MirrorGroup:
    """A mirror group; without percentages one mirror of 100 %."""
    return MirrorGroup(name, percents or (100.0,), live=live)


def terms(*mirrors: MirrorGroup, **fields: object) -> Terms:
    """What a policy asks: without mirrors given, copies of all requests to v1."""
    return Terms(mirrors or (mirror(),), **fields)  # type: ignore[arg-type]


def without_mirror(exempt: Reason | None = None) -> Terms:
    """The terms of a route without a mirror."""
    return Terms((), exempt=exempt)
