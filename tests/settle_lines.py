"""Generated lines for settling: window edges, recurring keys, repeated and lost lines."""

from __future__ import annotations

from hypothesis import strategies as st

from collector.records import Role
from collector.traits import HOP_SHIFT, Trait
from tests.settling import NOW, SECOND, Given, make_policy

POLICIES = {
    "one mirror": make_policy(("v1", 100.0)),
    "two mirrors": make_policy(("v1", 100.0), ("v3", 100.0)),
    "a share": make_policy(("v1", 30.0)),
    "two shares": make_policy(("v1", 50.0), ("v3", 10.0)),
    "equal shares": make_policy(("v1", 40.0), ("v3", 40.0)),
    "all and a share": make_policy(("v1", 100.0), ("v3", 25.0)),
    "two copies": make_policy(("v1", 100.0), ("v1", 50.0)),
}

_MILLISECOND = 1_000
# Around the edges of windows of 5, 10 and 30 seconds, and a horizon (5 s) away from them.
_EDGES = [0, 5, 10, 15, 20, 30, 40, 60]
_STARTS = st.builds(
    lambda edge, shift: NOW + edge * SECOND + shift * _MILLISECOND,
    st.sampled_from(_EDGES),
    st.sampled_from([-5_001, -5_000, -200, -51, -1, 0, 1, 40, 200, 3_000, 4_990, 5_000, 5_100]),
)
_DURATIONS = st.sampled_from([0, 5, 5, 5, 80, 1_000, 5_000, 5_001, 12_000, 28_000])
_HOPS = st.sampled_from([0, 0, 1, 2, 3, 30, 31])
_TRAITS = [bit for name, bit in vars(Trait).items() if name.isupper()]
_ODD_TRAITS = st.sampled_from([0, 0, 0, *_TRAITS, Trait.NEVER_CONNECTED | Trait.FAILED])
_CODES = st.sampled_from([200, 200, 200, 404, 503, 0, 2000])
"""No status has four digits, but whoever writes a log may."""
KEYS = st.integers(1, 5)


@st.composite
def _ordinary(draw: st.DrawFn) -> list[Given]:
    """A request as most are; of its lines, some may be lost, and its mirrors may get none."""
    key, start = draw(KEYS), draw(_STARTS)
    hops = draw(st.sampled_from([None, None, 1, 2]))
    live, copied = (0, 0) if hops is None else (hops << HOP_SHIFT, (hops + 1) << HOP_SHIFT)
    wait = draw(st.sampled_from([0, 1, 30, 2_000])) * _MILLISECOND
    found = []
    if draw(st.integers(0, 3)):
        found.append(Given(pod="client", key=key, start_us=start, traits=live, duration_us=90_000))
    if draw(st.integers(0, 4)):
        at = start + _MILLISECOND
        code = draw(_CODES)
        found.append(Given(pod="primary", key=key, start_us=at, traits=live, code=code))
    for mirror in ("mirror0", "mirror1"):
        if draw(st.integers(0, 3)):
            code = draw(_CODES)
            found.append(
                Given(pod=mirror, key=key, start_us=start + wait, traits=copied, code=code)
            )
    return found


@st.composite
def _anything(draw: st.DrawFn) -> list[Given]:
    """One line of any kind."""
    pod = draw(
        st.sampled_from(
            [
                "client",
                "client2",
                "primary",
                "primary2",
                "mirror0",
                "mirror0b",
                "mirror1",
                "unknown",
                "foreign",
            ]
        )
    )
    return [
        Given(
            pod=pod,
            key=draw(KEYS),
            start_us=draw(_STARTS),
            duration_us=draw(_DURATIONS) * _MILLISECOND,
            code=draw(_CODES),
            traits=draw(_ODD_TRAITS) | draw(_HOPS) << HOP_SHIFT,
            attempt=draw(st.sampled_from([0, 0, 1, 2])),
            to=draw(st.sampled_from(["v2", "v2", "v2", "v1", "v3"])),
            role=draw(st.sampled_from([None, None, None, None, Role.UNROUTED])),
        )
    ]


@st.composite
def lines(draw: st.DrawFn) -> list[Given]:
    """The lines of a run, in the order in which they are read; some are read twice."""
    scenes = draw(
        st.lists(st.one_of(_ordinary(), _ordinary(), _ordinary(), _anything()), max_size=14)
    )
    found = [line for scene in scenes for line in scene]
    numbered = [
        Given(**{name: getattr(line, name) for name in _FIELDS} | {"line_id": number})
        for number, line in enumerate(found)
    ]
    again = draw(st.lists(st.sampled_from(numbered), max_size=2)) if numbered else []
    return [*numbered, *again]


_FIELDS = (
    "pod", "start_us", "key", "duration_us", "code", "traits", "attempt", "line_id", "to", "path",
    "role",
)  # fmt: skip
