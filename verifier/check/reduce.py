"""The second pass: one share of the keys at a time, from records to a tally per policy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from verifier.check.evidence import PolicyEvidence
from verifier.check.fast import MOST_RECORDS, Ordinary, ordinary
from verifier.check.records import KEY, KIND, LINE_ID, START, Kind, Record, read_records, to_line
from verifier.pairing.doubt import doubt_holes, doubt_leaks, doubt_route, doubt_sample
from verifier.pairing.episodes import episodes, first_request_us
from verifier.pairing.judge import judge
from verifier.pairing.lines import Finding, Judgement, Line, Reason, Terms, Verdict
from verifier.pairing.owed import MAX_EVIDENCE
from verifier.pairing.tally import Tally
from verifier.places import may_be_live, route_of
from verifier.policies.model import Policy

MAX_LINES_PER_KEY: Final = 50_000
"""More lines of one key are counted, not judged: an attacker may send one id for ever."""

Packed = tuple[Any, ...]
_Keys = dict[int, list[Packed]]


class Share(msgspec.Struct):
    """What one share of the keys came to."""

    tallies: dict[int, Tally] = {}
    repeated: int = 0
    ignored: int = 0


class Reducer:
    """Judges shares of the keys.

    Args:
        policies: All policies.
        evidence: What is known of each policy's logs.
        kinds: All kinds of lines, by the numbers that records have.
        limit: How many findings to keep for each policy.
        clocks: How far the clocks of pods are ahead, µs; pods that are not are left out.
    """

    def __init__(
        self,
        policies: tuple[Policy, ...],
        evidence: tuple[PolicyEvidence, ...],
        kinds: Mapping[int, Kind],
        limit: int,
        clocks: Mapping[int, int],
    ) -> None:
        self._policies: Final = policies
        self._evidence: Final = evidence
        self._kinds: Final = kinds
        self._limit: Final = limit
        self._clocks: Final = clocks
        self._ahead: Final = {
            number: clocks[kind.pod] for number, kind in kinds.items() if kind.pod in clocks
        }
        self._horizons: Final = [e.terms.horizon_us for e in evidence]
        # The short way suits one mirror of 100 % and evidence that does not depend on time.
        self._plain: Final = [
            len(e.terms.mirrors) == 1
            and e.terms.mirrors[0].percents == (100.0,)
            and not e.terms.mirrors[0].live
            and policy.valid_from_us is None
            and e.primary.constant
            for policy, e in zip(policies, evidence, strict=True)
        ]

    def reduce(self, files: Iterable[Path]) -> Share:
        """Judges one share: the spill files of all workers for it."""
        share = Share()
        quick: dict[int, Counter[Ordinary]] = defaultdict(Counter)
        beyond: dict[int, Counter[int]] = {}
        for key, records in self._by_key(files, beyond).items():
            kept = records if len(records) == 1 else self._distinct(records)
            share.repeated += len(records) - len(kept)
            found = self._ordinary(kept)
            if key in beyond:
                self._too_many(share, kept, beyond[key])
            elif found is None:
                self._judge_key(share, kept)
            else:
                quick[self._kinds[kept[0][KIND]].policy][found] += 1
        for number, counts in quick.items():
            primary_logged = self._evidence[number].primary.known
            _add_quick(self._tally(share, number), counts, primary_logged=primary_logged)
        for tally in share.tallies.values():
            tally.trim()
        return share

    def _ordinary(self, records: list[Packed]) -> Ordinary | None:
        """What `ordinary` makes of a key, where the policy and the evidence allow the short way."""
        number = self._kinds[records[0][KIND]].policy
        if not 1 < len(records) <= MOST_RECORDS or not self._plain[number]:
            return None
        return ordinary(records, self._kinds, self._horizons[number])

    def _by_key(self, files: Iterable[Path], beyond: dict[int, Counter[int]]) -> _Keys:
        """The records of each key.

        Args:
            files: Of one share.
            beyond: Gets the number of records of each kind that a key has beyond the limit.
        """
        keys: _Keys = {}
        for record in read_records(files):
            if record[KIND] in self._ahead:
                record = (
                    *record[:START],
                    record[START] - self._ahead[record[KIND]],
                    *record[KIND:],
                )
            group = keys.get(record[KEY])
            if group is None:
                keys[record[KEY]] = [record]
            elif len(group) < MAX_LINES_PER_KEY:
                group.append(record)
            else:
                beyond.setdefault(record[KEY], Counter())[record[KIND]] += 1
        return keys

    def _too_many(self, share: Share, records: list[Packed], beyond: Counter[int]) -> None:
        """Rule: beyond the cap a key is ambiguous, as one finding: its other lines are unknown."""
        sides: Counter[int] = Counter()
        for number, count in (beyond + Counter(record[KIND] for record in records)).items():
            sides[self._kinds[number].side] += count
        kept = [
            to_line(Record(*record), self._kinds[record[KIND]])
            for record in sorted(records, key=lambda record: record[START])[:MAX_EVIDENCE]
        ]
        judged = Judgement()
        judged.find(
            Finding(
                Verdict.AMBIGUOUS,
                Reason.TOO_MANY_LINES,
                kept[0].start_us,
                kept,
                count=max(sides.values()),
            )
        )
        self._put_clocks_back(judged, kept)
        policy = min(self._kinds[record[KIND]].policy for record in records)
        self._tally(share, policy).add(judged)

    def _distinct(self, records: list[Packed]) -> list[Packed]:
        """Records without those that repeat a line, whatever their order."""
        if len({record[LINE_ID] for record in records}) == len(records):
            return records  # the common case: not even two pods wrote the same
        seen: dict[tuple[int, int], Packed] = {}
        for record in records:
            seen.setdefault((self._kinds[record[KIND]].pod, record[LINE_ID]), record)
        return list(seen.values())

    def _tally(self, share: Share, number: int) -> Tally:
        tally = share.tallies.get(number)
        if tally is None:
            tally = share.tallies[number] = Tally(self._limit)
        return tally

    def _judge_key(self, share: Share, records: list[Packed]) -> None:
        """Judges the episodes of a key that is not ordinary."""
        kinds = [self._kinds[record[KIND]] for record in records]
        number, certain = route_of((kind.policy, kind.route_unknown) for kind in kinds)
        kinds = [_as_of(kind, number) for kind in kinds]
        horizon = self._evidence[number].terms.horizon_us
        lines = [
            to_line(Record(*record), kind) for record, kind in zip(records, kinds, strict=True)
        ]
        tally = self._tally(share, number)
        for episode in episodes(lines, horizon):
            start = first_request_us(episode)
            judged = judge(episode, self._terms(number, start))
            share.ignored += judged.unconcerned
            if not certain:
                doubt_route(judged)
            if any(may_be_live(kind.side, kind.others) for kind in kinds):
                doubt_leaks(judged)
            doubt_holes(judged, self._evidence[number].hole)
            doubt_sample(judged, self._evidence[number].hole, start)
            self._put_clocks_back(judged, episode)
            tally.add(judged)

    def _put_clocks_back(self, judged: Judgement, lines: list[Line]) -> None:
        """People see the times that the pods wrote."""
        if not self._clocks:
            return
        for finding in judged.findings:
            finding.start_us += self._clocks.get(finding.lines[0].pod, 0)
        for line in lines:
            ahead = self._clocks.get(line.pod, 0)
            line.start_us += ahead
            line.end_us += ahead

    def _terms(self, number: int, start_us: int) -> Terms:
        """The terms in force when an episode's first request started."""
        terms = self._evidence[number].terms_at(start_us)
        policy = self._policies[number]
        if policy.valid_from_us is None or start_us >= (
            policy.valid_from_us + policy.rules.change_grace_us
        ):
            return terms
        early = start_us < policy.valid_from_us
        reason = Reason.NO_MIRROR_IN_FORCE if early else Reason.POLICY_CHANGED
        return msgspec.structs.replace(terms, exempt=reason)


def _as_of(kind: Kind, number: int) -> Kind:
    """A kind with the part that it plays for the policy whose route its request took."""
    for side, mirror, policy in kind.others:
        if policy == number != kind.policy:
            return kind._replace(side=side, mirror=mirror, policy=policy)
    return kind


def _add_quick(tally: Tally, counts: Counter[Ordinary], *, primary_logged: bool) -> None:
    """Adds ordinary keys, counted by what `ordinary` said of them."""
    for found, count in counts.items():
        requests = count * found.requests
        tally.counts[Verdict.MATCHED] = tally.counts.get(Verdict.MATCHED, 0) + requests
        tally.requests += requests
        tally.requests_high += requests
        tally.paired += count * found.paired
        tally.status_differs += count * found.differs
        if primary_logged:
            tally.control += count * found.control
            tally.control_lost += count * found.lost


def lines_of(finding: Finding) -> list[Line]:
    """A finding's lines, each once."""
    return list({(line.pod, line.line_id): line for line in finding.lines}.values())
