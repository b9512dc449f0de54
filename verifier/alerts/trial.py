"""Events that try an endpoint; no incident stands behind them. Pure."""

from __future__ import annotations

from verifier.incidents.event import Event, Kind, NotifyReason, Severity, Status


def trial_events(now_us: int) -> tuple[Event, Event]:
    """A test and its resolution, so that nothing stays open at the receiver.

    Args:
        now_us: Wall clock; makes each trial an incident of its own.
    """
    opened = Event(
        id=f"test_{now_us}_1",
        incident_id=now_us // 1_000_000,
        sequence=1,
        kind=Kind.MISSING,
        policy="test/test",
        severity=Severity.INFO,
        reason=NotifyReason.TEST,
        status=Status.FIRING,
        at_us=now_us,
        opened_us=now_us,
        first_us=now_us,
        last_us=now_us,
        resolved_us=None,
        counts={"requests": 1000, "missing": 1},
        summary="This is a test of mirrorproof's alerts; nothing is wrong.",
        cause="Somebody ran `mirrorproof alert test`.",
        advice="Nothing is to be done.",
        examples=(),
        test=True,
    )
    ended = {"id": f"test_{now_us}_2", "sequence": 2, "status": Status.RESOLVED}
    fields = {name: getattr(opened, name) for name in opened.__struct_fields__}
    return opened, Event(**{**fields, **ended, "resolved_us": now_us})
