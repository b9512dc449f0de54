"""Incidents and silences as people and programs read them. Pure."""

from __future__ import annotations

import json
from typing import Any

from verifier.incidents.event import Kind
from verifier.incidents.kinds import SPECS
from verifier.incidents.store import Silence
from verifier.times import iso_time, time_or_none


def incident_json(row: Any) -> dict[str, Any]:
    """One incident as `--json` and the API say it; times in RFC 3339, UTC.

    Args:
        row: Of the table `incident`.
    """
    return {
        "id": row.id,
        "policy": row.policy,
        "kind": row.kind,
        "severity": row.severity,
        "status": status(row),
        "opened_at": iso_time(row.opened_us),
        "first_at": iso_time(row.first_us),
        "last_at": iso_time(row.last_us),
        "resolved_at": time_or_none(row.resolved_us),
        "ended": row.ended,
        "notifications": row.sequence,
        "told_at": time_or_none(row.told_us),
        "counts": json.loads(row.counts),
        "summary": row.summary,
        "cause": row.cause,
        "advice": row.advice,
        "examples": [
            {**{k: v for k, v in one.items() if k != "started_us"},
             "started_at": iso_time(one["started_us"])}
            for one in json.loads(row.examples)
        ],
    }  # fmt: skip


def status(row: Any) -> str:
    """Whether an incident goes on."""
    return "firing" if row.resolved_us is None else "resolved"


def incident_line(row: Any) -> str:
    """One incident in one line."""
    return f"{row.id:>5}  {status(row):<8}  {row.severity:<8}  {row.kind:<17}  {row.summary}"


def incident_lines(row: Any) -> list[str]:
    """All that is known of an incident."""
    known = row.kind in set(Kind)
    title = SPECS[Kind(row.kind)].title if known else f"{row.kind}, of a newer release"
    lines = [
        f"incident {row.id}  {row.severity}  {status(row)}: {title}",
        row.summary,
        f"  policy      {row.policy or '(pipeline)'}",
        f"  opened      {iso_time(row.opened_us)}",
        f"  drift       {iso_time(row.first_us)} to {iso_time(row.last_us)}",
    ]
    if row.resolved_us is not None:
        lines.append(f"  resolved    {iso_time(row.resolved_us)} ({row.ended})")
    told = f"{row.sequence}, the last {iso_time(row.told_us)}" if row.told_us else "none"
    lines.append(f"  told        {told}")
    lines += [f"  {name:<11} {count:,}" for name, count in json.loads(row.counts).items()]
    if row.cause:
        lines.append(f"  cause       {row.cause}")
    if row.advice:
        lines.append(f"  look at     {row.advice}")
    lines += [
        f"  {iso_time(one['started_us'])}  {one['verdict']}  {one['request_id']} "
        f"{one['method']} {one['path']}: {one['reason']}"
        for one in json.loads(row.examples)
    ]
    return lines


def silence_json(one: Silence) -> dict[str, Any]:
    """One silence as `--json` and the API say it."""
    return {
        "id": one.id,
        "policy": one.policy,
        "kind": one.kind,
        "reason": one.reason,
        "author": one.author,
        "from": iso_time(one.from_us),
        "until": iso_time(one.until_us),
        "ended_at": time_or_none(one.ended_us),
        "ended_by": one.ended_by,
    }


def silence_line(one: Silence, now_us: int) -> str:
    """One silence in one line."""
    policy = "(pipeline)" if one.policy == "" else one.policy or "every policy"
    over = f"ended by {one.ended_by}" if one.ended_us else "over" if one.until_us <= now_us else ""
    state = f" ({over})" if over else ""
    until = f"until {iso_time(one.until_us)}{state}"
    return f"{one.id:>5}  {policy}  {one.kind or 'every kind'}  {until}  {one.author}: {one.reason}"
