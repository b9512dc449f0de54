"""What counts as divergence, and what is noise."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from verifier.statistics.compare import MAX_CELLS, Answer, Compared, Pair, bounded, quantile
from verifier.statistics.divergence import ALL, Endpoint, endpoint_json, judge_endpoints
from verifier.statistics.endpoints import OTHER, endpoint_of


def compared(count: int, *, seed: int = 1, **changes: float) -> Compared:
    """Pairs of answers that differ by chance, and by what is given.

    `errors` is the share of failing answers of either, `worse` of the mirror's alone; `slow_ms`
    and `bytes` come on top of the mirror's; `pod_ms` on top of the second pod's.
    """
    random, found = Random(seed), Compared()
    for number in range(count):
        pod = f"v2-{number % 2}"
        errors = changes.get("errors", 0.0)
        mirrored = errors + changes.get("worse", 0.0)
        extra = changes.get("pod_ms", 0.0) * (number % 2)
        ours = Answer(
            500 if random.random() < errors else 200, random.expovariate(0.05) + extra, 100
        )
        theirs = Answer(
            500 if random.random() < mirrored else 200,
            random.expovariate(0.05) + changes.get("slow_ms", 0.0) + extra / 2,
            100 + int(changes.get("bytes", 0)),
        )
        found.add(Pair(ours, theirs, pod))
    return found


def judged(found: Compared, reference: Compared | None = None) -> Endpoint:
    """What is said of one endpoint."""
    accepted = None if reference is None else {"GET /": reference}
    return judge_endpoints({"GET /": found}, accepted)[-1]


@pytest.mark.parametrize(
    ("changes", "measure"),
    [({"worse": 0.05}, "status"), ({"slow_ms": 20}, "latency"), ({"bytes": 20}, "size")],
)
def test_what_only_the_mirror_does_diverges(changes: dict[str, float], measure: str) -> None:
    """Errors, time and size of the mirror alone are told apart."""
    found = judged(compared(1000, errors=0.02, **changes))

    assert [name for name, one in found.differences.items() if one.diverges] == [measure]


def test_errors_and_times_that_vary_on_both_sides_are_noise() -> None:
    """A flaky service fails here or there; its copies do so as well."""
    found = judged(compared(5000, errors=0.2))

    assert found.differs > 1000
    assert not found.diverges


def test_what_the_primarys_pods_show_among_themselves_is_noise() -> None:
    """A mirror between a fast and a slow pod of the primary is no slower than these."""
    found = judged(compared(5000, pod_ms=80))

    assert found.differences["latency"].noise > 1
    assert not found.diverges


def test_an_accepted_difference_is_none_until_it_grows() -> None:
    """What the reference period shows is expected; more of it diverges."""
    reference = compared(2000, worse=0.05, seed=2)

    assert not judged(compared(2000, worse=0.05), reference).diverges
    assert judged(compared(2000, worse=0.05), reference).accepted
    assert judged(compared(2000, worse=0.15), reference).diverges


def test_many_endpoints_have_one_error_together() -> None:
    """Of a thousand endpoints without divergence none is said to diverge."""
    found = {f"GET /{n}": compared(30, errors=0.1, seed=n) for n in range(90)}

    assert not any(one.diverges for one in judge_endpoints(found))


def test_few_differences_on_many_endpoints_are_seen_in_all() -> None:
    """Three failures of each are chance; of twenty endpoints together they are not."""
    found = {f"GET /{number}": compared(40, worse=0.05, seed=number) for number in range(20)}
    judged = judge_endpoints(found)

    assert judged[0].endpoint == ALL
    assert judged[0].diverges
    assert not any(one.diverges for one in judged[1:])


def test_sums_merge_in_any_order_and_survive_storage() -> None:
    """Hours add up to what one sum over all would be."""
    parts = [compared(50, seed=seed, errors=0.1) for seed in range(4)]
    forth, back = Compared(), Compared()
    for part in parts:
        forth.merge(msgspec.json.decode(msgspec.json.encode(part), type=Compared))
    for part in reversed(parts):
        back.merge(part)

    assert forth.signs == back.signs
    assert forth.primary == back.primary
    assert forth.pairs == 200


def status_pairs(*codes: tuple[int, int]) -> Compared:
    """Pairs with these statuses."""
    found = Compared()
    for ours, theirs in codes:
        found.add(Pair(Answer(ours, 1.0, 5), Answer(theirs, 1.0, 5), None))
    return found


def test_each_pair_of_statuses_is_counted() -> None:
    """A matrix, which also says which differences are most frequent."""
    found = judged(status_pairs((200, 200), (200, 503), (200, 503), (404, 200)))

    assert found.changes() == [(200, 503, 2), (404, 200, 1)]
    assert endpoint_json(found)["statuses"] == [
        {"primary": 200, "mirror": 200, "pairs": 1},
        {"primary": 200, "mirror": 503, "pairs": 2},
        {"primary": 404, "mirror": 200, "pairs": 1},
    ]


def test_a_matrix_of_statuses_is_bounded_and_loses_no_pair() -> None:
    """Whoever answers with any number fills no table; classes remain of what is beyond."""
    codes = [(100 + number % 500, 100 + 7 * number % 500) for number in range(900)]
    found = status_pairs(*codes)
    found.merge(status_pairs(*((code + 1, code) for code in range(100, 599)), (999, 0)))
    cells = {(ours, theirs) for ours, row in found.statuses.items() for theirs in row}

    assert sum(number for row in found.statuses.values() for number in row.values()) == 1400
    assert sum(ours > 5 for ours, _ in cells) == MAX_CELLS
    assert len(cells) <= MAX_CELLS + 36


def test_rows_stored_before_statuses_were_counted_still_read() -> None:
    """They add nothing to the matrix, and all else."""
    old = msgspec.json.decode(b'{"pairs":3,"differs":1}', type=Compared)
    old.merge(status_pairs((200, 500)))

    assert (old.pairs, old.differs, old.statuses) == (4, 2, {200: {500: 1}})


def test_endpoints_beyond_the_limit_are_other() -> None:
    """The most frequent ones are kept, no pair is lost."""
    found = {f"GET /{number}": compared(number + 1) for number in range(10)}
    kept = bounded(found, 4)

    assert set(kept) == {"GET /9", "GET /8", "GET /7", OTHER}
    assert sum(one.pairs for one in kept.values()) == 55


def test_latency_that_was_not_measured_alike_is_left_out() -> None:
    """A sender's clock measures the network, too: its times are not compared."""
    found = Compared()
    found.add(Pair(Answer(200, None, 5), Answer(200, 3.0, 5), None))

    assert set(judged(found).differences) == {"status", "size"}


def test_quantiles_are_right_to_two_digits() -> None:
    """What is kept of each value are two digits and zeros."""
    found = Compared()
    for number in range(1, 1001):
        found.add(Pair(Answer(200, number, 0), Answer(200, number, 0), None))

    for share in (0.1, 0.5, 0.9, 0.99):
        assert quantile(found.primary["latency"], share) == pytest.approx(1000 * share, rel=0.1)
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/weather?locate=beijing", "GET /weather"),
        ("/v2/orders/1234/items/7", "GET /v2/orders/{id}/items/{id}"),
        ("/u/46ce024f-97b3-4a45-8f73-2d4ef365608d", "GET /u/{id}"),
        ("/blob/9f86d081884c7d659a2feaa0c55ad015", "GET /blob/{id}"),
        ("/t/eyJhbGciOiJIUzI1NiJ9", "GET /t/{id}"),
        ("/date/2026-11-22", "GET /date/{id}"),
        ("/mail/a@b.c", "GET /mail/{id}"),
        ("/q/%E6%9D%AD", "GET /q/{id}"),
        ("/report", "GET /report"),
        ("/facade/deadbeef", "GET /facade/deadbeef"),
        ("/a/b/c/d/e/f/g/h/i/j", "GET /a/b/c/d/e/f/g/h/…"),
        ("", "GET "),
        ("/" + "word-" * 7 + "x/" * 3, "GET /" + "word-" * 7 + "x/x/x/"),
    ],
)
def test_parts_that_only_machines_would_write_are_one_endpoint(path: str, endpoint: str) -> None:
    """Numbers, UUIDs, hashes, tokens and what is escaped become a place holder."""
    assert endpoint_of("GET", path) == endpoint


def test_invented_methods_share_one_endpoint() -> None:
    """Clients choose the method."""
    assert endpoint_of("BREW", "/") == endpoint_of("X" * 1000, "/") == "? /"
    assert len(endpoint_of("GET", "/abc" * 1000)) < 130
