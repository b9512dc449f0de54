"""Keys of requests and identities of lines."""

from __future__ import annotations

import pytest

from collector.keys import KEY_BYTES, line_identity, mask_request_id, request_key
from tests.factories import access_log

UUID = "46ce024f-97b3-4a45-8f73-2d4ef365608d"


@pytest.mark.parametrize("reason", list("49ab"))
def test_the_trace_reason_does_not_matter(reason: str) -> None:
    """Character 14 tells how a request is traced, and proxies differ."""
    other = f"{UUID[:14]}{reason}{UUID[15:]}"

    assert mask_request_id(other) == mask_request_id(UUID)


@pytest.mark.parametrize("request_id", ["", "a", "victim-id-0001", "x" * 36, "0" * 64, "one,two"])
def test_ids_of_other_shapes_stay_as_they_are(request_id: str) -> None:
    """Nothing is known of their characters."""
    assert mask_request_id(request_id) == request_id


def test_ids_that_differ_elsewhere_differ() -> None:
    """Only one character is masked."""
    assert mask_request_id(UUID) != mask_request_id("5" + UUID[1:])


def test_a_key_is_128_bits_of_all_four_parts_and_the_secret() -> None:
    """Each part changes it."""
    parts = [UUID, "GET", "/a?b", "forecast"]
    key = request_key(*parts, b"secret")

    assert len(key) == KEY_BYTES == 16
    assert request_key(*parts, b"secret") == key
    assert request_key(*parts, b"other") != key
    for index in range(4):
        changed = [*parts[:index], parts[index] + "x", *parts[index + 1 :]]
        assert request_key(*changed, b"secret") != key


def test_parts_do_not_run_into_each_other() -> None:
    """Method and path are told apart."""
    assert request_key("i", "GET", "X/a", "h", b"") != request_key("i", "GETX", "/a", "h", b"")


def test_text_that_is_no_unicode_makes_a_key_all_the_same() -> None:
    """A lone surrogate must not stop a partition."""
    assert len(request_key("\ud800", "GET", "/\udfff", "h", b"")) == 16


def test_a_line_is_identified_by_its_stream_id_where_that_is_logged() -> None:
    """The text may have been changed on the way."""
    log = access_log(stream_id="123")

    assert line_identity(log, "one text") == line_identity(log, "another")


@pytest.mark.parametrize("reason", ["4", "9"])
def test_the_requests_id_is_no_identity_of_a_line(reason: str) -> None:
    """Envoy's `%STREAM_ID%` is that of all attempts; a trace reason changes nothing."""
    own = "46ce024f-97b3-4a45-8f73-2d4ef365608d"
    log = access_log(request_id=own, stream_id=f"{own[:14]}{reason}{own[15:]}")

    assert line_identity(log, "one text") != line_identity(log, "another")


def test_a_line_without_stream_id_is_identified_by_its_text() -> None:
    """Re-read, it is the same; changed in one character, it is not."""
    log = access_log()

    assert line_identity(log, "text") == line_identity(log, "text")
    assert line_identity(log, "text") != line_identity(log, "texT")


def test_an_identity_fits_the_databases_integers() -> None:
    """Signed 64 bits, also of text that is no unicode."""
    for text in ("", "a", "\ud800", "x" * 100_000):
        assert -(2**63) <= line_identity(access_log(), text) < 2**63
