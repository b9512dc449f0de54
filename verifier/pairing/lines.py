"""What pairing needs to know of a line, and what it says in the end."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import msgspec


class Side(IntEnum):
    """Which part a line plays for one policy."""

    CLIENT_LIVE = 1
    """A sender's line towards a live destination."""
    CLIENT_MIRROR = 2
    """A sender's line towards a mirror without live weight: live traffic that leaks."""
    CLIENT_OTHER = 3
    """A sender's line towards the watched host on another route."""
    SERVER_LIVE = 4
    """A line of a live destination's pod: one per attempt."""
    SERVER_MIRROR = 5
    """A line of a mirror's pod: one arrival."""
    SERVER_OTHER = 6
    """A line of a pod that is another version or service, or of which nothing says whose it is."""
    SERVER_UNKNOWN = 7
    """A line of a pod that surely is one of a watched service's, and nothing tells its version."""


class Verdict(StrEnum):
    """What is said of one request, arrival or line. DESIGN section 3."""

    MATCHED = "matched"
    MISSING = "missing"
    UNSAMPLED = "unsampled"
    EXEMPT = "exempt"
    PENDING = "pending"
    UNVERIFIABLE = "unverifiable"
    DUPLICATE = "duplicate"
    LEAK = "leak"
    ORPHAN = "orphan"
    AMBIGUOUS = "ambiguous"


class Reason(StrEnum):
    """Why a verdict was given, in the words that people read."""

    NO_COPY = "no copy arrived at {mirror}"
    TOO_FEW_COPIES = "fewer copies than requests arrived at {mirror}"
    BROKEN_NESTING = "a smaller sample has the copy that {mirror} lacks"
    SENT_TO_MIRROR = "the sending proxy routed live traffic to {mirror}"
    LIVE_AT_MIRROR = "{mirror} received a request that carries no mark of a copy"
    SURPLUS = "more copies than requests arrived at {mirror}"
    NO_REQUEST = "a copy whose request is in no log, although the senders' logs are complete"
    NO_SENDER_LOG = "a copy whose request is in no log, and the senders' logs are not complete"
    SURPLUS_IN_DOUBT = (
        "a copy too many, while requests failed to reach the primary and no sender's log tells"
    )
    NO_MIRROR_IN_FORCE = "no mirror was in force"
    POLICY_CHANGED = "the policy had just changed"
    NOT_STORED_YET = "lines of that time were not stored yet: nobody watched the policy's hosts"
    NEVER_MIRRORED = "CONNECT and upgrades are not mirrored"
    NOT_ROUTED = "answered before it was routed"
    NOT_CONNECTED = "never connected to the primary, and not copied"
    ABANDONED = "abandoned by the client, and not copied"
    BYPASSED = "sent on another route, which has no mirror"
    ROUTE_UNKNOWN = "route unknown: the log does not show what the route matches on"
    EXTRA_QUOTES = "the line can be read in more than one way"
    NO_REQUEST_ID = "the line has no request id"
    TOO_MANY_LINES = "too many lines share one request id and path"
    COPY_MAY_BE_AMBIGUOUS = "the copy may be among lines that can be read in more than one way"
    MIRROR_LOG_INCOMPLETE = "the log of {mirror} is not complete at that time"
    MIRROR_LOG_LOST = "what the node of {mirror} sent at that time did not arrive"
    BEYOND_SHARE = "more copies lack at {mirror} than its pods of unknown state usually receive"
    CLOCK_WILD = "the clock of a pod of {mirror} was wrong, or its log very late, at that time"
    OWN_CLOCK_WILD = "the clock of its pod was wrong at that time, or its log very late"
    STILL_RUNNING = "its copy may still be running at {mirror}"
    MIRROR_SILENT = "{mirror} has never logged: mirroring is off, or its logs do not arrive"
    PASSED_OVER = "records of that time were passed over unread"
    LOG_LOSS = "log loss: as many lines of the primary are lost too"
    MIRROR_ERRORS_ONLY = "{mirror} logs errors only: a filter may keep its other lines from the log"
    MIRROR_UNREADABLE = "as many lines of the mirror's logs cannot be read"
    PAST_PROXIES = "sent past the mesh's proxies: without their TLS, and in no sender's log"
    UNKNOWN_VERSION = "a pod of unknown version may have received the copy"
    UNKNOWN_RECEIVER = (
        "received by a pod of unknown version: no label, name or TLS server name tells it"
    )
    MIRROR_TAKES_LIVE = "{mirror} takes live traffic too, and its lines carry no mark of a copy"


class Marker(StrEnum):
    """What decided that an arrival is a copy."""

    FIELD = "field"
    SHADOW_HOST = "shadow host"
    FORWARDED = "forwarded for"
    POLICY = "policy"


class Line(msgspec.Struct, gc=False):
    """One observation as pairing sees it. Times in µs since the epoch.

    Attributes:
        side: The part it plays for the policy.
        mirror: Index of the mirror group, for mirror sides; 0 otherwise.
        start_us: Start of the stream.
        end_us: End of the stream, not before `start_us`.
        code: Response code; 0 when the client left before a response.
        traits: `collector.traits` bits.
        attempt: `x-envoy-attempt-count`, 0 where it is not logged.
        pod: A number that stands for the pod that wrote the line.
        line_id: Identity among the pod's lines.
        where: Whatever tells the caller where the line is; never looked at.
    """

    side: int
    mirror: int
    start_us: int
    end_us: int
    code: int
    traits: int
    attempt: int
    pod: int
    line_id: int
    where: Any = None


class MirrorGroup(msgspec.Struct, frozen=True):
    """All mirrors of a route that send to one destination.

    `percents` holds each mirror's percentage in descending order: two mirror policies to one
    destination owe two copies of one request. `live` tells that the policy sends live traffic
    there too, so that such traffic is no leak.
    """

    name: str
    percents: tuple[float, ...]
    live: bool = False

    @property
    def certain(self) -> int:
        """How many copies every request owes."""
        return sum(percent >= 100 for percent in self.percents)


class Terms(msgspec.Struct, frozen=True):
    """What the policy in force asks of an episode. Times in µs.

    Attributes:
        mirrors: The mirror groups; empty when no mirror is in force.
        horizon_us: Largest gap between lines of one episode, and between an attempt and the retry.
        exempt: A reason that frees all requests of the episode, or None.
        senders_logged: The senders' logs are complete, so that a copy without a request is an
            orphan.
        primary_logged: The primary's logs are complete, so that a line lacking there is lost.
        tls: Senders reach the primary with TLS server names, so that a line without one is of a
            request that no proxy of the mesh sent.
        cap: Most lines of an episode that are judged.
    """

    mirrors: tuple[MirrorGroup, ...]
    horizon_us: int = 5_000_000
    exempt: Reason | None = None
    senders_logged: bool = False
    primary_logged: bool = False
    tls: bool = False
    cap: int = 1000


class Finding(msgspec.Struct):
    """One verdict that is not plain `matched`, with the lines it rests on.

    `count` is above 1 only for ambiguous lines that are told together. `mirror` is the index of
    the mirror group concerned.
    """

    verdict: Verdict
    reason: Reason
    start_us: int
    lines: list[Line]
    mirror: int = 0
    count: int = 1


class Judgement(msgspec.Struct):
    """All that is said of one episode (or, added up, of many).

    Attributes:
        counts: How many of each verdict.
        findings: What is not matched, unsampled or exempt.
        requests: Live requests on the route, of any verdict.
        requests_high: The most that the lines allow.
        exempt: Why how many requests are exempt; adds up to the count of that verdict.
        status_differs: Matched pairs whose status differs.
        paired: Matched pairs whose status could be compared.
        control: Requests of which a sender's line says that the primary answered.
        control_lost: Those of them without a line of the primary: lost in shipping.
        largest: The mirror groups with the largest percentage: what arrives nowhere else was not
            drawn. Set where requests may be unsampled.
        unsampled: One line for each unsampled request.
        unconcerned: Lines that tell nothing, as no sender's line is beside them.
        untested: Matched requests that tell nothing of the percentage, as only those whose copy
            was logged are known.
        markers: By what how many arrivals were told to be copies.
    """

    counts: dict[Verdict, int] = {}
    findings: list[Finding] = []
    requests: int = 0
    requests_high: int = 0
    exempt: dict[Reason, int] = {}
    status_differs: int = 0
    paired: int = 0
    control: int = 0
    control_lost: int = 0
    largest: tuple[int, ...] = ()
    unsampled: list[Line] = []
    untested: int = 0
    unconcerned: int = 0
    markers: dict[Marker, int] = {}

    def add(self, verdict: Verdict, count: int) -> None:
        """Adds `count` of a verdict, without a finding."""
        if count:
            self.counts[verdict] = self.counts.get(verdict, 0) + count

    def excuse(self, reason: Reason, count: int) -> None:
        """Adds `count` exempt requests."""
        self.add(Verdict.EXEMPT, count)
        if count:
            self.exempt[reason] = self.exempt.get(reason, 0) + count

    def find(self, finding: Finding) -> None:
        """Adds a finding and counts it."""
        self.add(finding.verdict, finding.count)
        self.findings.append(finding)
