"""Follows incidents inside the settling transaction: they commit with the verdicts they rest on.

Killed anywhere, nothing or all of a tick is there: no incident opens twice, none is lost, and each
notification is written once. A tick costs by new windows, and by what is remembered of those few
kinds that are not plainly well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from verifier.incidents import recount, store
from verifier.incidents.book import Book
from verifier.incidents.conditions import Condition, decide_condition
from verifier.incidents.decide import Corrected, decide
from verifier.incidents.divergence import divergences, is_due
from verifier.incidents.drift import Drift, Now
from verifier.incidents.event import Event, Kind
from verifier.incidents.kinds import (
    DIVERGENCES,
    PIPELINE_KINDS,
    POLICY_CONDITIONS,
    POLICY_KINDS,
    KindRule,
)
from verifier.incidents.pipeline import Trouble, troubles, unreadable
from verifier.incidents.rules import TellRules, pipeline_rule, policy_rules
from verifier.incidents.samples import WindowCounts, samples
from verifier.incidents.scores import Sample
from verifier.incidents.windows import corrected_windows, new_windows, settled_to
from verifier.settle.markers import changes
from verifier.settle.progress import progress_of
from verifier.settle.tick import Ticked
from verifier.settle.versions import Version
from verifier.settle.watermark import FOREVER_US

_PIPELINE_EVERY_US: Final = 5_000_000
"""How often the pipeline is looked at; its conditions last for minutes."""
_PIPELINE: Final = ""
_MARKER_US: Final = 3_600_000_000
"""A change of the mark of copies is told for so long."""


class Watcher:
    """Follows all incidents. Keeps nothing between ticks that a restart could lose.

    Args:
        rules: What the settings say.
    """

    def __init__(self, rules: TellRules) -> None:
        self._rules: Final = rules
        self._pipeline_us = 0

    def watch(self, connection: Connection, ticked: Ticked, now_us: int) -> list[Event]:
        """Decides what is to be told after a tick, and writes it down with its messages.

        Args:
            connection: The settling transaction, after the tick wrote its windows.
            ticked: What the tick did.
            now_us: The database's clock.
        """
        turn = _Turn(connection, self._rules, ticked, now_us)
        is_due = not 0 <= now_us - self._pipeline_us < _PIPELINE_EVERY_US
        if is_due:
            turn.look_at_markers()
        for policy in turn.policies():
            turn.follow(policy)
        turn.follow_quarantine()
        if is_due:
            self._pipeline_us = now_us
            turn.follow_pipeline()
        return turn.events


class _Turn:
    """The state of one turn."""

    def __init__(
        self, connection: Connection, rules: TellRules, ticked: Ticked, now_us: int
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._ticked = ticked
        self._now_us = now_us
        self._states = store.read_states(connection)
        self._cursors = store.read_cursors(connection)
        self._settled_to = settled_to(connection)
        self._silences = store.silences(connection, now_us)
        self._book = Book(connection, self._settled_to, now_us)
        self._markers: dict[str, Trouble] | None = None

    @property
    def events(self) -> list[Event]:
        """What was told."""
        return self._book.events

    def policies(self) -> list[str]:
        """The policies of which windows count anew, or of which something is remembered."""
        remembered = {policy for policy, _ in self._states if policy}
        mirrored = set(self._ticked.versions.mirrored())
        return sorted(remembered | mirrored)

    # --- policies

    def look_at_markers(self) -> None:
        """Learns which policies' copies are told by another mark since less than an hour."""
        found = changes(self._connection, self._now_us - _MARKER_US)
        self._markers = {
            one.policy: Trouble(
                Condition(1, one.start_us), f"by `{one.after}`, before by `{one.before}`"
            )
            for one in found
        }

    def follow(self, name: str) -> None:
        """Follows the kinds of a policy."""
        version = self._version(name)
        rules = policy_rules(self._rules, version.policy if version else None)
        to_us = self._countable_us(name)
        new, corrected, event_us = self._samples(name, rules, to_us)
        late = self._late(name, rules, to_us)
        now = Now(event_us, self._now_us)
        looked = self._look(name, version, event_us)
        for kind in POLICY_KINDS:
            key = (name, kind)
            before = self._states.get(key, Drift())
            silenced = store.is_silenced(self._silences, key)
            if kind not in POLICY_CONDITIONS:
                after, reason = decide(
                    before,
                    [*_heeded(late.get(kind, ()), before), *new.get(kind, ())],
                    corrected.get(kind, ()),
                    now,
                    rules[kind],
                    silenced=silenced,
                )
                self._book.keep(key, before, after, reason, version=version)
            elif kind in looked or not rules[kind].enabled:
                trouble = looked.get(kind)
                holds = trouble.condition if trouble else None
                after, reason = decide_condition(before, holds, now, rules[kind], silenced=silenced)
                detail = trouble.detail if trouble else ""
                self._book.keep(key, before, after, reason, version=version, detail=detail)

    def _look(
        self, name: str, version: Version | None, counted_us: int
    ) -> dict[Kind, Trouble | None]:
        """The conditions that were looked at, and what holds of them."""
        looked: dict[Kind, Trouble | None] = {Kind.LINT: _lints(version)}
        if self._markers is not None:
            looked[Kind.MARKER] = self._markers.get(name)
        from_us = self._cursors.get(name)
        if from_us is not None and is_due(from_us, counted_us):
            found = divergences(self._connection, name, counted_us)
            looked |= {kind: found.get(kind) for kind in DIVERGENCES}
        return looked

    def _version(self, name: str) -> Version | None:
        """The version in force, where it has a mirror; else the one of the windows that wait.

        What a mirror lacked in its last minutes is told also when it is no more.
        """
        for time_us in (self._now_us, self._cursors.get(name)):
            if time_us is not None:
                found = self._ticked.versions.era(time_us).versions.get(name)
                if found is not None and found.policy.mirrors:
                    return found
        return None

    @property
    def _is_read_for_good(self) -> bool:
        """Whether nothing will ever follow."""
        return (self._ticked.watermark.time_us or 0) >= FOREVER_US

    def _countable_us(self, name: str) -> int | None:
        """Up to when the policy's windows count; None: nothing is settled."""
        progress = progress_of(self._connection, name)
        if progress is None or progress.settled_to_us < 0:
            return None
        if self._is_read_for_good:
            return progress.settled_to_us
        # At the edge of a window: one that lies across would count neither now nor later.
        return progress.grid.floor(progress.settled_to_us - self._rules.confirm_us)

    def _samples(
        self, name: str, rules: Mapping[Kind, KindRule], to_us: int | None
    ) -> tuple[dict[Kind, list[Sample]], dict[Kind, list[Corrected]], int]:
        """What new windows say by kind, what corrections say, and up to when windows count."""
        settled = [one for one in self._ticked.settled if one.policy == name]
        from_us = self._cursors.get(name)
        if from_us is None:
            firsts = [one.window.start_us for one in settled if one.revision == 1]
            from_us = min(firsts, default=None)
        if from_us is None or to_us is None:
            return {}, {}, 0
        corrections = corrected_windows(self._connection, settled, from_us)
        windows: list[WindowCounts] = []
        counted_us = from_us
        if to_us > from_us:
            windows, counted_us = new_windows(self._connection, name, from_us, to_us)
        if self._cursors.get(name) != counted_us:
            store.save_cursor(self._connection, name, counted_us)
        new: dict[Kind, list[Sample]] = {}
        for window in windows:
            for kind, sample in samples(window, rules).items():
                new.setdefault(kind, []).append(sample)
        corrected: dict[Kind, list[Corrected]] = {}
        for old, now in corrections:
            was, is_now = samples(old, rules), samples(now, rules)
            for kind in was.keys() & is_now.keys():
                corrected.setdefault(kind, []).append(Corrected(was[kind], is_now[kind]))
        return new, corrected, counted_us

    def _late(
        self, name: str, rules: Mapping[Kind, KindRule], to_us: int | None
    ) -> dict[Kind, list[Sample]]:
        """What windows behind the cursor say that did not count before, by kind."""
        from_us = self._cursors.get(name)
        if from_us is None or to_us is None:
            return {}
        wait_us = 0 if self._is_read_for_good else self._rules.confirm_us
        settled = (one for one in self._ticked.settled if one.policy == name)
        recount.note(self._connection, settled, from_us, self._now_us + wait_us)
        found = recount.due(self._connection, name, self._now_us, wait_us)
        return recount.recounted(found, rules)

    # --- the pipeline

    def follow_quarantine(self) -> None:
        """Follows the share of lines that nobody could read."""
        key = (_PIPELINE, Kind.QUARANTINE)
        before = self._states.get(key, Drift())
        sample = unreadable(
            self._connection,
            [one.id for one in self._ticked.batches],
            self._rules.quarantine_share,
            self._now_us,
        )
        if sample is None and before.is_empty:
            return
        after, reason = decide(
            before,
            () if sample is None else (sample,),
            (),
            Now(self._now_us, self._now_us),
            pipeline_rule(self._rules, Kind.QUARANTINE),
            silenced=store.is_silenced(self._silences, key),
        )
        self._book.keep(key, before, after, reason)

    def follow_pipeline(self) -> None:
        """Follows what holds of the pipeline, or does not."""
        found = troubles(self._connection, self._ticked.watermark, self._rules, self._now_us)
        for kind in PIPELINE_KINDS:
            if kind is Kind.QUARANTINE:
                continue
            key = (_PIPELINE, kind)
            before = self._states.get(key, Drift())
            trouble: Trouble | None = found.get(kind)
            rule = pipeline_rule(self._rules, kind)
            for_us = max(rule.for_us, trouble.for_us if trouble else 0)
            after, reason = decide_condition(
                before,
                trouble.condition if trouble else None,
                Now(self._now_us, self._now_us),
                msgspec.structs.replace(rule, for_us=for_us),
                silenced=store.is_silenced(self._silences, key),
            )
            self._book.keep(key, before, after, reason, detail=trouble.detail if trouble else "")


def _heeded(late: Sequence[Sample], drift: Drift) -> list[Sample]:
    """What an open incident heeds of late windows: corrections of what it counts it knows."""
    return list(late) if drift.open is None else []


def _lints(version: Version | None) -> Trouble | None:
    """The errors that lint finds in the version in force."""
    if version is None:
        return None
    errors = [one.message for one in version.policy.lints if one.severity == "error"]
    return Trouble(Condition(len(errors), version.from_us), errors[0]) if errors else None
