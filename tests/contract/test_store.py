"""What both databases promise the collector: all or nothing, once, and only by the owner."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest
from sqlalchemy import Engine, Table, func, insert, select

from collector.batch import Batch, Watch
from collector.db import pieces, positions
from collector.db.dimensions import Dimensions
from collector.db.engine import open_engine, reading, writing
from collector.db.policies import (
    PolicyRecord,
    acknowledge,
    end_versions,
    record_versions,
    sign_off,
    watched_hosts,
)
from collector.db.positions import Claim
from collector.db.secrets import request_key_secret
from collector.db.tables import (
    batch,
    destination,
    host,
    instance,
    node_life,
    observation,
    piece,
    pod,
    policy_version,
    position,
    quarantine,
)
from collector.db.writes import Writer
from collector.errors import Fenced, RowRefused
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.redact import Redactor
from collector.sources.protocol import Bounds, Partition, Record
from tests.databases import refuse
from tests.lines import HOST, START_US, client_line, shipped

pytestmark = pytest.mark.integration

P0, P1 = Partition("logs", 0), Partition("logs", 1)
NOW_US = START_US + 10_000_000
WATCH = Watch(HostTable([HOST]), 7)
POISON = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" \xff\x00broken'


@pytest.fixture
def engine(migrated_database_url: str) -> Iterator[Engine]:
    """Each database, with the newest schema."""
    engine = open_engine(migrated_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def writer(engine: Engine) -> Writer:
    """A writer that keeps the query parameter `day`."""
    return Writer(engine, Redactor(["day"]))


def claimed(engine: Engine, partition: Partition = P0, owner: str = "me") -> Claim:
    """The partition, ours."""
    with writing(engine) as connection:
        positions.create(connection, partition, 0, "topic-1", NOW_US)
        return positions.claim(connection, partition, owner, NOW_US)


def read(*values: bytes, partition: Partition = P0, offset: int = 0) -> Batch:
    """A batch of values."""
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())
    records = [Record(offset + n, NOW_US, value) for n, value in enumerate(values)]
    return reader.read(partition, offset, records, WATCH, NOW_US)


def rows(engine: Engine, table: Table) -> list[dict[str, object]]:
    """All rows of a table."""
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(select(table)).mappings()]
    return sorted(found, key=repr)


def count(engine: Engine, table: Table) -> int:
    """How many rows a table has."""
    with reading(engine) as connection:
        return connection.scalars(select(func.count()).select_from(table)).one()


def test_a_batch_writes_rows_batch_and_position_together(engine: Engine, writer: Writer) -> None:
    """Everything about the records is there afterwards, and adds up."""
    held = claimed(engine)
    values = shipped(client_line("id-1"), version="v2"), b"noise", POISON

    writer.write([read(*values)], {P0: held}, NOW_US)

    (one,) = rows(engine, batch)
    assert (one["from_offset"], one["to_offset"], one["records"], one["read"]) == (0, 3, 3, 3)
    assert (one["stored"], one["ignored"], one["quarantined"]) == (1, 1, 1)
    assert (one["min_start_us"], one["max_end_us"]) == (START_US, START_US + 4000)
    assert (one["policy_version_id"], one["committed_us"]) == (7, NOW_US)
    (at,) = rows(engine, position)
    assert (at["next_offset"], at["watermark_us"]) == (3, START_US + 4000)
    (bad,) = rows(engine, quarantine)
    assert (bad["record_offset"], bad["reason"] != "") == (2, True)
    assert rows(engine, node_life) == [
        {"cluster": "", "node": "node-a", "seen_us": START_US + 4000}
    ]


def test_pieces_of_a_line_wait_in_the_database(engine: Engine, writer: Writer) -> None:
    """Written with the batch they came in, given to whoever claims, and gone with their line."""
    held = claimed(engine)
    line = client_line("id-1", path="/" + "x" * 40_000)
    parts = line[:16_384], line[16_384:32_768] + "é", line[32_768:]
    first, second = (f"2026-11-22T15:11:42.{n}Z stdout P {parts[n]}".encode() for n in (0, 1))
    last = f"2026-11-22T15:11:42.2Z stdout F {parts[2]}".encode()

    writer.write([read(first, second)], {P0: held}, NOW_US)

    with writing(engine) as connection:
        waiting = pieces.waiting(connection, P0, 2)
        assert pieces.waiting(connection, P1, 2) == []
    assert [(one.place, one.text) for one in waiting] == [((0, 0), parts[0]), ((1, 0), parts[1])]
    assert [one["pieces"] for one in rows(engine, batch)] == [2]
    reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())
    reader.forget(P0, waiting, NOW_US)
    end = reader.read(P0, 2, [Record(2, NOW_US, last)], WATCH, NOW_US)
    writer.write([end], {P0: held}, NOW_US)
    assert (count(engine, piece), count(engine, observation)) == (0, 1)
    assert sorted(one["pieces"] for one in rows(engine, batch)) == [-2, 2]


def test_pieces_that_will_be_read_again_are_forgotten(engine: Engine, writer: Writer) -> None:
    """An operator who goes back in a partition meets no pieces of what was read before."""
    held = claimed(engine)
    values = [f"2026-11-22T15:11:42.{n}Z stdout P [2026{n}".encode() for n in range(3)]
    writer.write([read(*values)], {P0: held}, NOW_US)

    with writing(engine) as connection:
        assert [one.place for one in pieces.waiting(connection, P0, 1)] == [(0, 0)]

    assert count(engine, piece) == 1


def test_a_row_holds_what_the_line_says(engine: Engine, writer: Writer) -> None:
    """Every column, with what people must not see hidden."""
    held = claimed(engine)
    line = client_line("id-1", path="/weather?day=1&token=s3cr3t")

    writer.write([read(shipped(line, version="v2"))], {P0: held}, NOW_US)

    (row,) = rows(engine, observation)
    key, line_id, traits = row.pop("key"), row.pop("line_id"), row.pop("traits")
    assert isinstance(key, bytes)
    assert len(key) == 16
    assert isinstance(line_id, int)
    assert isinstance(traits, int)
    assert row == {
        "ingested_us": NOW_US,
        "batch_id": rows(engine, batch)[0]["id"],
        "record_offset": 0,
        "item": 0,
        "start_us": START_US,
        "end_us": START_US + 4000,
        "bytes_received": 0,
        "bytes_sent": 100,
        "pod_id": rows(engine, pod)[0]["id"],
        "host_id": rows(engine, host)[0]["id"],
        "destination_id": rows(engine, destination)[0]["id"],
        "code": 200,
        "role": 1,
        "attempt": 0,
        "request_id": "id-1",
        "method": "GET",
        "path": "/weather?day=1&token=***",
        "flags": "",
        "details": "via_upstream",
        "authority": "forecast:3002",
        "route": "default",
        "forwarded_for": "",
        "user_agent": None,
    }
    (who,) = rows(engine, pod)
    assert (who["namespace"], who["pod"], who["node"]) == ("weather", "front-1", "node-a")
    assert who["labels"] == '{"version": "v2"}'
    (to,) = rows(engine, destination)
    assert (to["host"], to["subset"]) == (HOST, "v2")


@pytest.mark.parametrize("nasty", ["a\0b", "\ud800", "x" * 100_000, "日本" * 3000, "9" * 400])
def test_whatever_a_client_sends_can_be_stored(engine: Engine, writer: Writer, nasty: str) -> None:
    """NUL, lone surrogates and endless texts are made fit, never refused."""
    held = claimed(engine)
    one = read(client_line("id-1").encode())
    log = one.seen[0].observation.log
    log.request_id = log.path = log.authority = log.route = log.method = nasty
    log.code, log.attempt, log.bytes_sent = 10**9 - 1, 10**6, 2**62

    writer.write([one], {P0: held}, NOW_US)

    assert count(engine, observation) == 1


def test_a_batch_is_never_written_twice(engine: Engine, writer: Writer) -> None:
    """The second writing hits no position and leaves no trace."""
    held = claimed(engine)
    one = read(shipped(client_line("a")))
    writer.write([one], {P0: held}, NOW_US)

    with pytest.raises(Fenced):
        writer.write([one], {P0: held}, NOW_US)

    assert (count(engine, observation), count(engine, batch)) == (1, 1)
    with reading(engine) as connection:
        assert positions.standing(connection, P0) == (held.epoch, 1)


def test_a_zombie_writes_nothing(engine: Engine, writer: Writer) -> None:
    """Whoever was replaced cannot write any more, the new owner can."""
    old = claimed(engine, owner="old")
    new = claimed(engine, owner="new")
    one = read(shipped(client_line("a")))

    with pytest.raises(Fenced):
        writer.write([one], {P0: old}, NOW_US)
    writer.write([one], {P0: new}, NOW_US)

    assert count(engine, observation) == 1


def test_one_fenced_partition_rolls_back_the_whole_transaction(
    engine: Engine, writer: Writer
) -> None:
    """Nothing of the other partitions of that transaction stays half done."""
    mine, lost = claimed(engine, P0), claimed(engine, P1)
    claimed(engine, P1, owner="other")
    both = [read(shipped(client_line("a"))), read(shipped(client_line("b")), partition=P1)]

    with pytest.raises(Fenced):
        writer.write(both, {P0: mine, P1: lost}, NOW_US)

    assert (count(engine, observation), count(engine, batch)) == (0, 0)
    assert count(engine, node_life) == 0


def test_a_gap_is_refused(engine: Engine, writer: Writer) -> None:
    """A batch that does not continue where the last one ended would skip records."""
    held = claimed(engine)

    with pytest.raises(Fenced):
        writer.write([read(b"x", offset=5)], {P0: held}, NOW_US)


def test_several_batches_of_a_partition_go_in_one_transaction(
    engine: Engine, writer: Writer
) -> None:
    """In the order of their offsets, whatever order they are given in."""
    held = claimed(engine)

    writer.write([read(b"b", offset=1), read(b"a")], {P0: held}, NOW_US)

    assert rows(engine, position)[0]["next_offset"] == 2


def test_the_watermark_never_goes_back(engine: Engine, writer: Writer) -> None:
    """Older lines leave it where it is, no lines at all too."""
    held = claimed(engine)
    late = shipped(client_line("b", start_us=START_US - 5_000_000))

    writer.write([read(shipped(client_line("a")))], {P0: held}, NOW_US)
    writer.write([read(late, offset=1)], {P0: held}, NOW_US)
    writer.write([read(b"noise", offset=2)], {P0: held}, NOW_US)

    assert rows(engine, position)[0]["watermark_us"] == START_US + 4000
    assert rows(engine, node_life)[0]["seen_us"] == START_US + 4000


def test_the_leader_epoch_is_that_of_the_last_record(engine: Engine, writer: Writer) -> None:
    """Unknown again where records passed without one; a batch of no offsets changes nothing."""
    held = claimed(engine)

    def epoch_after(one: Batch, leader_epoch: int | None) -> int | None:
        one.leader_epoch = leader_epoch
        writer.write([one], {P0: held}, NOW_US)
        (found,) = rows(engine, position)
        assert found["leader_epoch"] is None or isinstance(found["leader_epoch"], int)
        return found["leader_epoch"]

    assert epoch_after(read(b"one"), 5) == 5
    assert epoch_after(Batch(P0, 1, 1), None) == 5
    assert claimed(engine).leader_epoch == 5
    held = claimed(engine)
    assert epoch_after(Batch(P0, 1, 3), None) is None


def test_an_operators_offset_has_no_leader_epoch(engine: Engine, writer: Writer) -> None:
    """The record before it may be another one."""
    held, one = claimed(engine), read(b"one")
    one.leader_epoch = 5
    writer.write([one], {P0: held}, NOW_US)
    with writing(engine) as connection:
        positions.stop(connection, held, "a test", NOW_US)

        positions.clear(connection, P0, 1, "topic-1", NOW_US)

    assert claimed(engine).leader_epoch is None


def test_a_stop_reason_stops_the_partition_in_the_same_transaction(
    engine: Engine, writer: Writer
) -> None:
    """What was read stays, and nothing more can be written until an operator clears it."""
    held = claimed(engine)
    one = read(POISON)
    one.stop_reason = "nothing but poison"

    writer.write([one], {P0: held}, NOW_US)

    (at,) = rows(engine, position)
    assert (at["state"], at["reason"], at["next_offset"]) == ("stopped", "nothing but poison", 1)
    assert claimed(engine).stopped == "nothing but poison"
    with writing(engine) as connection:
        assert positions.clear(connection, P0, 1, "topic-1", NOW_US)
        assert not positions.clear(connection, P0, 1, "topic-1", NOW_US)
    again = claimed(engine)
    assert (again.stopped, again.next_offset) == ("", 1)
    writer.write([read(b"x", offset=1)], {P0: again}, NOW_US)


def test_stopping_is_fenced_too(engine: Engine) -> None:
    """A zombie cannot stop what somebody else reads."""
    old = claimed(engine, owner="old")
    claimed(engine, owner="new")

    with pytest.raises(Fenced), writing(engine) as connection:
        positions.stop(connection, old, "broken", NOW_US)


def test_the_first_position_stays(engine: Engine) -> None:
    """Replicas that begin a partition together agree on the first one's offset."""
    with writing(engine) as connection:
        positions.create(connection, P0, 5, None, NOW_US)
        positions.create(connection, P0, 9, None, NOW_US)
        assert positions.claim(connection, P0, "me", NOW_US).next_offset == 5


def test_broker_evidence_is_kept_by_the_owner_alone(engine: Engine) -> None:
    """End offsets of a zombie are not written."""
    old = claimed(engine, owner="old")
    new = claimed(engine, owner="new")
    with writing(engine) as connection:
        positions.record_ends(connection, [new], {P0: Bounds(0, 100)}, NOW_US)
        positions.record_ends(connection, [old], {P0: Bounds(0, 5)}, NOW_US + 1)

    (at,) = rows(engine, position)
    assert (at["end_offset"], at["end_checked_us"]) == (100, NOW_US)


def test_a_partition_is_free_when_its_owner_left_or_fell_silent(engine: Engine) -> None:
    """A living owner keeps it, and may take it again."""
    held = claimed(engine)
    with writing(engine) as connection:
        owner = str(connection.scalar(select(position.c.owner)))
        assert not positions.is_free(connection, P0, "another", NOW_US - 1)
        assert positions.is_free(connection, P0, owner, NOW_US - 1)
        assert positions.is_free(connection, P0, "another", NOW_US + 1)
        positions.give_back(connection, held)
        assert positions.is_free(connection, P0, "another", NOW_US - 1)


def test_replicas_agree_on_the_numbers_of_what_they_meet_together(engine: Engine) -> None:
    """Two that learn the same pods at the same moment get the same ids."""
    seen = [
        s.observation for n in range(20) for s in read(shipped(client_line("a"), pod=f"p{n}")).seen
    ]
    found: list[dict[Identity, int]] = []
    both = Barrier(2)

    def learn(order: int) -> None:
        mine = Dimensions(engine)
        both.wait(10)
        mine.learn(seen[::order], NOW_US)
        found.append(mine.ids.pods)

    threads = [Thread(target=learn, args=(order,)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == 2
    assert found[0] == found[1]
    assert count(engine, pod) == 20


def test_batch_ids_are_never_given_twice(engine: Engine, writer: Writer) -> None:
    """Also when the newest batch is gone, as after retention."""
    held = claimed(engine)
    writer.write([read(b"a")], {P0: held}, NOW_US)
    first = rows(engine, batch)[0]["id"]
    with writing(engine) as connection:
        connection.execute(batch.delete())
    writer.write([read(b"b", offset=1)], {P0: held}, NOW_US)

    assert rows(engine, batch)[0]["id"] != first


def test_a_batch_that_does_not_add_up_is_refused(engine: Engine) -> None:
    """The database itself checks that every line is accounted for."""
    from sqlalchemy.exc import IntegrityError

    values = dict.fromkeys((c.name for c in batch.c if c.name not in ("id", "topic")), 0)

    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(batch).values(values | {"topic": "logs", "read": 1}))


def test_all_replicas_share_one_secret(engine: Engine) -> None:
    """It is made once and stays."""
    first = request_key_secret(engine)

    assert len(first) == 32
    assert request_key_secret(engine) == first


def test_a_changed_policy_is_a_new_version_and_an_unchanged_one_is_none(engine: Engine) -> None:
    """The first is valid since ever; each next one ends the one before."""
    one = PolicyRecord("w/route", "{}", ("a.w.svc.cluster.local",))
    two = PolicyRecord("w/route", '{"x":1}', ("b.w.svc.cluster.local",))
    with writing(engine) as connection:
        assert len(record_versions(connection, [one], 10)) == 1
        assert record_versions(connection, [one], 20) == []
        assert len(record_versions(connection, [two], 30)) == 1

    versions = sorted(rows(engine, policy_version), key=lambda row: str(row["id"]))
    spans = [(v["valid_from_us"], v["valid_to_us"], v["recorded_us"]) for v in versions]
    assert spans == [(None, 30, 10), (30, None, 30)]


def test_hosts_of_a_policy_that_ended_are_watched_for_a_while(engine: Engine) -> None:
    """Its last lines may still arrive."""
    hour_us = 3_600_000_000
    with writing(engine) as connection:
        assert watched_hosts(connection, 0).policy_version_id == 0
        (version,) = record_versions(connection, [PolicyRecord("w/r", "{}", ("b.c", "a.c"))], 10)
        end_versions(connection, ["w/r"], 20)

        assert watched_hosts(connection, hour_us).hosts == ("a.c", "b.c")
        assert watched_hosts(connection, hour_us + 21).hosts == ()
        assert watched_hosts(connection, hour_us + 21).policy_version_id == version


def test_a_policy_comes_back_as_a_new_version(engine: Engine) -> None:
    """After its end the same document is in force from now on, not since ever."""
    one = PolicyRecord("w/route", "{}", ("a.c",))
    with writing(engine) as connection:
        record_versions(connection, [one], 10)
        end_versions(connection, ["w/route"], 20)
        (again,) = record_versions(connection, [one], 30)

    (back,) = [row for row in rows(engine, policy_version) if row["id"] == again]
    assert (back["valid_from_us"], back["valid_to_us"]) == (30, None)


def test_collectors_acknowledge_and_sign_off(engine: Engine) -> None:
    """One row for each living collector; long-dead ones disappear."""
    day_us = 24 * 3_600_000_000
    with writing(engine) as connection:
        acknowledge(connection, "dead", 1, 0, 0)
        acknowledge(connection, "me", 1, 5, 5)
        acknowledge(connection, "me", 2, 5, day_us + 1)

    assert rows(engine, instance) == [
        {"owner": "me", "policy_version_id": 2, "started_us": 5, "seen_us": day_us + 1}
    ]
    with writing(engine) as connection:
        sign_off(connection, "me")
    assert count(engine, instance) == 0


def test_query_values_are_hidden_in_quarantine_too(engine: Engine, writer: Writer) -> None:
    """Whatever follows a question mark in bytes that nobody could read."""
    value = b'[2026-11-22T15:11:42.900Z] "GET /a?day=1\\u0026token=s3cr3t&k=v HTTP/1.1" broken'

    writer.write([read(value)], {P0: claimed(engine)}, NOW_US)

    (row,) = rows(engine, quarantine)
    prefix = bytes(row["prefix"])  # type: ignore[call-overload]
    assert prefix.split(b" ")[2] == b"/a?day=1\\u0026token=***&k=***"
    assert row["length"] == len(value)


def test_the_rows_that_the_database_refuses_are_found(engine: Engine, writer: Writer) -> None:
    """Only they; and looking for them leaves nothing behind."""
    refuse(engine, 418)
    lines = [client_line(f"id-{n}") for n in range(50)]
    for bad in (7, 8, 31):
        lines[bad] = lines[bad].replace('" 200 ', '" 418 ')
    one = read(*(line.encode() for line in lines))
    held = claimed(engine)
    with pytest.raises(RowRefused, match="does not take it"):
        writer.write([one], {P0: held}, NOW_US)

    found = writer.refused(one.seen, NOW_US, 100)

    assert sorted(seen.offset for seen, _ in found) == [7, 8, 31]
    assert count(engine, observation) == 0


def test_numbers_beyond_the_columns_are_refused_alike(engine: Engine, writer: Writer) -> None:
    """A number of 64 bits and more is no crash, on neither database."""
    one = read(client_line("id-1").encode(), client_line("id-2").encode())
    one.seen[1].observation.log.bytes_sent = 1 << 63
    held = claimed(engine)
    with pytest.raises(RowRefused):
        writer.write([one], {P0: held}, NOW_US)

    ((seen, why),) = writer.refused(one.seen, NOW_US, 100)

    assert (seen.offset, why != "") == (1, True)
