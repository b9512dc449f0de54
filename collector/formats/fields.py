"""From the operators of a format to the record of a line: which is which field, and its values."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from collector.errors import UsageError
from collector.formats.operators import Operator, field_of
from collector.formats.time_format import ReadTime, TimeError, compile_time
from collector.records import AccessLog

_ORDER: Final = (
    "start", "duration", "method", "path", "code", "flags", "details", "bytes_received",
    "bytes_sent", "forwarded_for", "user_agent", "request_id", "authority", "upstream_host",
    "cluster", "upstream_local", "downstream_local", "downstream_remote", "server_name", "route",
    "attempt", "stream_id", "pod", "namespace",
)  # fmt: skip
_UNLIKE_EMPTY: Final = frozenset({"forwarded_for", "server_name"})
"""Fields for which "not logged" is another thing than "nothing"."""
_REQUIRED: Final = {
    "start": ("%START_TIME%", "nothing says when a request was"),
    "code": ("%RESPONSE_CODE%", "an answered request looks like an aborted one"),
}
_SCALES: Final = {"us": 1_000, "ns": 1_000_000}
_CUT: Final = 10
"""A value that is cut to a length is worse than any whole one."""

_LONG_FLAGS: Final[dict[str, str]] = dict(
    pair.split("=")
    for pair in """
        NoHealthyUpstream=UH UpstreamConnectionFailure=UF UpstreamOverflow=UO NoRouteFound=NR
        UpstreamRetryLimitExceeded=URX NoClusterFound=NC DurationTimeout=DT
        DownstreamConnectionTermination=DC FailedLocalHealthCheck=LH UpstreamRequestTimeout=UT
        LocalReset=LR UpstreamRemoteReset=UR UpstreamConnectionTermination=UC DelayInjected=DI
        FaultInjected=FI RateLimited=RL UnauthorizedExternalService=UAEX RateLimitServiceError=RLSE
        InvalidEnvoyRequestHeaders=IH StreamIdleTimeout=SI DownstreamProtocolError=DPE
        UpstreamProtocolError=UPE UpstreamMaxStreamDurationReached=UMSDR
        ResponseFromCacheFilter=RFCF NoFilterConfigFound=NFCF OverloadManagerTerminated=OM
        DnsResolutionFailed=DF DropOverload=DO DownstreamRemoteReset=DR
        UnconditionalDropOverload=UDO
    """.split()  # noqa: SIM905 - read as a table
)


def short_flags(flags: str) -> str:
    """`RESPONSE_FLAGS_LONG` as `RESPONSE_FLAGS` writes it; an unknown flag stays."""
    return ",".join(_LONG_FLAGS.get(flag, flag) for flag in flags.split(","))


class Fields:
    """Which operators of a format give which fields of an access log.

    Attributes:
        chosen: The operator of each field that the format logs, by the field's name.
        wanted: Which operators these are, by their places in the format, ascending.
        read_time: Reads what START_TIME writes.

    Args:
        operators: Those of the format, in its order.

    Raises:
        UsageError: A field without which no line can be used is not there, or no time can be
            read from what START_TIME writes.
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        best: dict[str, tuple[int, int]] = {}
        for place, operator in enumerate(operators):
            field = _rank(operator)
            if field is not None and (*field[1:], place) < best.get(field[0], (1_000, 0)):
                best[field[0]] = (field[1], place)
        for name, (operator_text, trouble) in _REQUIRED.items():
            if name not in best:
                raise UsageError(f"access-log format: no {operator_text}: {trouble}; add it")
        places = {name: place for name, (_, place) in best.items()}
        self.chosen: Final = {name: operators[place] for name, place in places.items()}
        self.wanted: Final = sorted(places.values())
        numbers = {place: number for number, place in enumerate(self.wanted)}
        count = len(self.wanted)  # behind the values of a line stand "" and None
        self._pick: Final = itemgetter(
            *(
                numbers[places[name]] if name in places else count + (name in _UNLIKE_EMPTY)
                for name in _ORDER
            )
        )
        self.read_time: Final = read_time_of(self.chosen["start"])
        self._long_flags: Final = self._writes("flags", "RESPONSE_FLAGS_LONG")
        duration = self.chosen.get("duration")
        unit = (duration.parameter or "")[-2:] if duration is not None else ""
        self._scale: Final = _SCALES.get(unit, 1)

    def _writes(self, field: str, operator: str) -> bool:
        return field in self.chosen and self.chosen[field].name == operator

    def same_as(self, other: Fields) -> bool:
        """Whether two formats say the same of every field; of clusters there are two operators."""
        return self._meaning() == other._meaning()

    def _meaning(self) -> dict[str, str]:
        return {
            name: operator.text.replace("CLUSTER_RAW", "CLUSTER")
            for name, operator in self.chosen.items()
        }

    def record(self, values: tuple[str, ...], *, ambiguous: bool = False) -> AccessLog:
        """The record of one line.

        Args:
            values: What the wanted operators wrote, empty for nothing.
            ambiguous: They are only a guess.

        Raises:
            ValueError: A time or a number is none.
        """
        (start, duration, method, path, code, flags, details, received, sent, forwarded, agent,
         request_id, authority, upstream, cluster, upstream_local, downstream_local,
         downstream_remote, server_name, route, attempt, stream_id, pod, namespace,
         ) = self._pick((*values, "", None))  # fmt: skip
        return AccessLog(
            self.read_time(start),
            int(duration or 0) // self._scale,
            method,
            path,
            int(code or 0),
            short_flags(flags) if self._long_flags else flags,
            details,
            int(received or 0),
            int(sent or 0),
            forwarded,
            agent,
            request_id,
            authority,
            upstream,
            cluster,
            upstream_local,
            downstream_local,
            downstream_remote,
            server_name,
            route,
            attempt_count(attempt),
            stream_id,
            ambiguous,
            pod,
            namespace,
        )


def _rank(operator: Operator) -> tuple[str, int] | None:
    """The field that an operator writes, and how well; None: it is none that is used."""
    field = field_of(operator)
    if field is None or operator.length is None:
        return field
    return field[0], field[1] + _CUT


def read_time_of(operator: Operator) -> ReadTime:
    """What reads the times that an operator writes. Raises UsageError."""
    local = operator.name.endswith("_LOCAL")
    try:
        return compile_time(operator.parameter, local=local)
    except TimeError as error:
        raise UsageError(
            f"access-log format, character {operator.position} ({operator.text}): {error}"
        ) from error


def attempt_count(text: str) -> int:
    """`x-envoy-attempt-count`, 0 when it is none: a client may write anything there."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
