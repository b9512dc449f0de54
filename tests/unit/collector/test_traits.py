"""What codes, flags and addresses mean for mirroring."""

from __future__ import annotations

import pytest

from collector.traits import ORDINARY_MASK, Trait, forwarded_hops, traits_of
from tests.factories import access_log


def traits(**fields: object) -> int:
    """The traits of a line of the sender's proxy, without the packed addresses."""
    packed = traits_of(access_log(**fields), shadow_host=False)
    return packed & 0xFFFF


def test_an_ordinary_line_has_no_trait() -> None:
    """So that SQL can pick out the ordinary lines by one mask."""
    assert traits() == 0
    assert traits() & ORDINARY_MASK == 0


@pytest.mark.parametrize(("method", "code"), [("CONNECT", 200), ("CONNECT", 403), ("GET", 101)])
def test_connect_and_upgrades_are_never_mirrored(method: str, code: int) -> None:
    """Envoy says so in RequestMirrorPolicy."""
    assert traits(method=method, code=code) == Trait.UNMIRRORED


@pytest.mark.parametrize("flag", ["NR", "NC", "UH", "FI", "RL", "RLSE", "UAEX", "DO", "OM"])
def test_flags_of_local_answers_mean_that_nothing_was_routed(flag: str) -> None:
    """The router returned, or was never asked."""
    assert traits(code=429, flags=flag, upstream_host="", details="x") == Trait.NOT_ROUTED


def test_a_local_answer_to_a_retry_does_not_undo_the_first_try() -> None:
    """`UH` beside an upstream host: the first try went out, and was copied."""
    assert traits(code=503, flags="UH", details="no_healthy_upstream") == Trait.FAILED


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (403, "rbac_access_denied_matched_policy[none]"),
        (401, "jwt_authn_access_denied{Jwt_is_missing}"),
        (301, "direct_response"),
        (413, "request_payload_too_large"),
    ],
)
def test_an_answer_of_the_proxys_own_is_not_routed_though_it_sets_no_flag(
    code: int, details: str
) -> None:
    """Redirects and refusals: no upstream host, no flag, other details than `via_upstream`."""
    assert traits(code=code, details=details, upstream_host="") == Trait.NOT_ROUTED


@pytest.mark.parametrize("details", ["", "via_upstream"])
def test_a_format_without_upstream_host_exempts_nothing(details: str) -> None:
    """Only details that say otherwise do."""
    assert traits(details=details, upstream_host="") == 0


@pytest.mark.parametrize("flags", ["UF", "UO", "URX,UF", "UF,URX", "UO,UF"])
def test_a_failed_connection_is_never_connected_and_failed(flags: str) -> None:
    """With flags in any order."""
    details = "upstream_reset_before_response_started{remote_connection_failure}"

    assert traits(code=503, flags=flags, details=details) == Trait.NEVER_CONNECTED | Trait.FAILED


def test_overflow_of_retries_is_an_answered_request() -> None:
    """`UO` with `via_upstream`: the upstream's answer stood, since no retry was allowed."""
    assert traits(code=503, flags="UO", details="via_upstream") == Trait.FAILED


@pytest.mark.parametrize(("code", "flags"), [(0, "DC"), (0, ""), (200, "DC")])
def test_code_zero_and_dc_are_abandoned(code: int, flags: str) -> None:
    """The client left before the end."""
    assert traits(code=code, flags=flags) == Trait.ABANDONED | Trait.FAILED


def test_a_protocol_error_on_the_way_is_the_clients_leaving() -> None:
    """A body cut off in the middle may have cut the copy too."""
    assert traits(code=400, flags="DPE", details="http1.codec_error") == Trait.ABANDONED


@pytest.mark.parametrize(
    ("code", "flags", "failed"),
    [
        (500, "", True),
        (503, "URX", True),
        (504, "UT", True),
        (200, "UC", True),
        (200, "UR", True),
        (499, "", False),
        (404, "", False),
        (429, "", False),
        (200, "DI", False),
        (200, "XYZ", False),
    ],
)
def test_what_a_proxy_tries_again(code: int, flags: str, failed: bool) -> None:
    """5xx and resets; unknown flags mean nothing."""
    assert bool(traits(code=code, flags=flags) & Trait.FAILED) is failed


def test_no_id_ambiguity_and_marks_have_bits_of_their_own() -> None:
    """They come from the line, not from the outcome."""
    log = access_log(request_id="", ambiguous=True)

    found = traits_of(log, shadow_host=True, marked=True) & 0xFFFF

    assert found == Trait.NO_ID | Trait.AMBIGUOUS | Trait.SHADOW_HOST | Trait.MARKED


@pytest.mark.parametrize(
    ("forwarded_for", "hops"),
    [
        (None, None),
        ("", 0),
        ("192.0.2.2", 1),
        ("192.0.2.2,10.0.0.1", 2),
        ("192.0.2.2, 10.0.0.1, x", 3),
        (",".join("a" * 29), 29),
        (",".join("a" * 30), None),
        (",".join("a" * 5000), None),
    ],
)
def test_forwarded_addresses_are_counted_as_far_as_they_can_be(
    forwarded_for: str | None, hops: int | None
) -> None:
    """Beyond the limit one more could not be seen: that is the same as not logged."""
    found = traits_of(access_log(forwarded_for=forwarded_for), shadow_host=False)

    assert forwarded_hops(found) == hops
    assert found < 2**22


def test_a_line_of_a_running_stream_has_no_outcome() -> None:
    """`access_log_options`: neither status nor flag nor details; a client that left sets one."""
    assert traits(code=0, details="", upstream_host="") & Trait.PARTIAL
    assert not traits(code=0, flags="DC", details="") & Trait.PARTIAL
    assert not traits(code=0, details="downstream_remote_disconnect") & Trait.PARTIAL


def test_a_hop_that_the_sender_redirected_is_told_by_its_details() -> None:
    """It is logged with the path of the next hop."""
    assert traits(code=302, details="internal_redirect") == Trait.REDIRECTED
