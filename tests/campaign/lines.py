"""Records as shippers write them: access logs of a watched host, noise and poison.

Every record says what has to become of each of its lines, so that an oracle can ask for it.
"""

from __future__ import annotations

import enum
import json
import random
import time
import uuid
from collections.abc import Callable
from typing import Final, NamedTuple

POLICY: Final = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: forecast, namespace: weather}
spec:
  hosts: [forecast]
  http:
  - route: [{destination: {host: forecast, subset: v2}}]
    mirror: {host: forecast, subset: v1}
"""
HOST: Final = "forecast.weather.svc.cluster.local"
_AGENTS: Final = ("curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64)", "okhttp/4.12.0", "-")
_CLIENT: Final = ("frontend-v1-6c9d7f-k2x4p", "forecast:3002", f"outbound|3002|v2|{HOST}", "-")
_PRIMARY: Final = ("forecast-v2-7b9c4d-klmno", "forecast:3002", "inbound|3002||", "-")
_MIRROR: Final = ("forecast-v1-5d8f9b-abcde", "forecast-shadow:3002", "inbound|3002||", "10.0.0.1")
_OTHER: Final = ("news-v1-58c7b-zzxyq", "news:80", "inbound|80||", "-")


class Kind(enum.IntEnum):
    """What has to become of a line."""

    STORED = 1
    IGNORED = 2
    QUARANTINED = 3


class Line(NamedTuple):
    """What an oracle asks for.

    Attributes:
        identity: Tells a stored line from all others: request id and bytes sent; else empty.
    """

    kind: Kind
    identity: str = ""


class Made(NamedTuple):
    """A record's value and its lines, in order."""

    value: bytes
    lines: tuple[Line, ...]


class Traffic:
    """Makes records, the same ones for the same seed but for their times."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._number = 0
        self._second = (0, "")
        self._shapes: dict[Callable[[], Made], int] = {
            self._text: 55,
            self._json: 13,
            self._bare: 5,
            self._array: 3,
            self._lines: 2,
            self._application: 6,
            self._other_host: 6,
            self._other_container: 2,
            self._tcp: 2,
            self._heartbeat: 2,
            self._cut_off: 2,
            self._impossible: 1,
            self._prefixed: 1,
        }
        self._makers, self._weights = tuple(self._shapes), tuple(self._shapes.values())

    def records(self, count: int) -> list[Made]:
        """The next records."""
        return [make() for make in self._chance.choices(self._makers, self._weights, k=count)]

    # --- access logs of the watched host

    def _watched(self) -> tuple[str, str, Line]:
        """Pod, text line and what is asked for."""
        pod, *rest = self._chance.choice((_CLIENT, _PRIMARY, _MIRROR))
        request_id, number = self._id(), self._next()
        line = self._istio(*rest, request_id=request_id, sent=number)
        return pod, line, Line(Kind.STORED, f"{request_id} {number}")

    def _text(self) -> Made:
        pod, line, wanted = self._watched()
        return Made(self._shipped(pod, line), (wanted,))

    def _bare(self) -> Made:
        _, line, wanted = self._watched()
        return Made(line.encode(), (wanted,))

    def _json(self) -> Made:
        pod, authority, cluster, forwarded = self._chance.choice((_CLIENT, _PRIMARY, _MIRROR))
        request_id, number = self._id(), self._next()
        fields = {
            "start_time": self._now(),
            "method": "GET",
            "path": self._path(),
            "protocol": "HTTP/1.1",
            "response_code": 200,
            "response_flags": "-",
            "response_code_details": "via_upstream",
            "bytes_received": 0,
            "bytes_sent": number,
            "duration": self._chance.randrange(1, 400),
            "x_forwarded_for": None if forwarded == "-" else forwarded,
            "request_id": request_id,
            "authority": authority,
            "upstream_host": "10.0.0.7:80",
            "upstream_cluster": cluster,
            "route_name": "default",
        }
        line = json.dumps(fields)
        return Made(self._shipped(pod, line), (Line(Kind.STORED, f"{request_id} {number}"),))

    def _array(self) -> Made:
        """Several records in one value, with something in between that is not stored."""
        parts = self._text(), self._application(), self._cut_off(), self._json()
        value = b"[%s]" % b",".join(part.value for part in parts)
        return Made(value, tuple(line for part in parts for line in part.lines))

    def _lines(self) -> Made:
        """Several lines in one text."""
        found = [self._watched() for _ in range(self._chance.randrange(2, 5))]
        text = "\n".join(line for _, line, _ in found)
        return Made(self._shipped(found[0][0], text), tuple(wanted for _, _, wanted in found))

    # --- noise

    def _application(self) -> Made:
        text = f"{self._now()}\tinfo\txdsproxy\tconnected to upstream XDS server, {self._next()}"
        return Made(self._shipped(_PRIMARY[0], text), (Line(Kind.IGNORED),))

    def _other_host(self) -> Made:
        pod, *rest = _OTHER
        line = self._istio(*rest, request_id=self._id(), sent=self._next())
        return Made(self._shipped(pod, line), (Line(Kind.IGNORED),))

    def _other_container(self) -> Made:
        pod, line, _ = self._watched()
        return Made(self._shipped(pod, line, container="application"), (Line(Kind.IGNORED),))

    def _tcp(self) -> Made:
        line = (
            f'[{self._now()}] "- - -" 0 - - - "-" 60 {self._next()} 12 - "-" "-" "-" "-" '
            '"10.0.0.9:5432" outbound|5432||db.weather.svc.cluster.local 10.0.0.1:4411 '
            "10.0.0.9:5432 10.0.0.1:4410 - -"
        )
        return Made(self._shipped(_CLIENT[0], line), (Line(Kind.IGNORED),))

    def _heartbeat(self) -> Made:
        beat = {"mirrorproof": "heartbeat", "node": self._node(), "time": self._now()}
        return Made(json.dumps(beat).encode(), (Line(Kind.IGNORED),))

    # --- poison

    def _cut_off(self) -> Made:
        pod, line, _ = self._watched()
        return Made(self._shipped(pod, line[: len(line) // 3]), (Line(Kind.QUARANTINED),))

    def _impossible(self) -> Made:
        pod, line, _ = self._watched()
        return Made(self._shipped(pod, f"[1970{line[5:]}"), (Line(Kind.QUARANTINED),))

    def _prefixed(self) -> Made:
        pod, line, _ = self._watched()
        return Made(self._shipped(pod, f"access> {line}"), (Line(Kind.QUARANTINED),))

    # --- parts

    def _istio(
        self, authority: str, cluster: str, forwarded: str, *, request_id: str, sent: int
    ) -> str:
        duration = self._chance.randrange(1, 400)
        return (
            f'[{self._now()}] "GET {self._path()} HTTP/1.1" 200 - via_upstream - "-" 0 {sent} '
            f'{duration} {duration - 1} "{forwarded}" "{self._chance.choice(_AGENTS)}" '
            f'"{request_id}" "{authority}" "10.0.0.7:80" {cluster} 10.0.0.1:41234 10.0.0.2:3002 '
            "10.0.0.3:4321 - default"
        )

    def _shipped(self, pod: str, line: str, container: str = "istio-proxy") -> bytes:
        """In Fluent Bit's envelope, with its Kubernetes filter."""
        kubernetes = {
            "pod_name": pod,
            "namespace_name": "weather",
            "host": self._node(),
            "container_name": container,
            "labels": {"app": pod.partition("-")[0], "version": pod.split("-")[1]},
        }
        return json.dumps({"log": f"{line}\n", "kubernetes": kubernetes}).encode()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _id(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def _path(self) -> str:
        return f"/weather?locate=city{self._chance.randrange(50)}&n={self._number}"

    def _node(self) -> str:
        return f"node-{self._number % 3}"

    def _now(self) -> str:
        """The time in RFC 3339, to the millisecond."""
        now = time.time()
        if self._second[0] != int(now):
            self._second = (int(now), time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)))
        return f"{self._second[1]}.{int(now % 1 * 1000):03d}Z"
