"""Whose a fragment of a line is, by the names in it."""

from __future__ import annotations

import pytest

from verifier.settle.unreadable import names_in

POD = "frontend-v1-6c9d8f7b5d-x2x7p"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"kubernetes":{{"pod_name":"{POD}","host":"node-a"}},"log":"[2026-11-22T15:',
        f"kube.var.log.containers.{POD}_weather_istio-proxy-0123abcd.log",
        f"/var/log/pods/weather_{POD}_uid/istio-proxy/0.log",
        f"[pod/{POD}/istio-proxy] [2026-11-22T15:11",
    ],
)
def test_a_pods_name_is_found_in_envelopes_tags_paths_and_prefixes(text: str) -> None:
    """However a shipper names the pod, its name is among the words of the fragment."""
    assert POD in set(names_in(text.encode()))


def test_a_name_that_is_part_of_another_is_not_found() -> None:
    """A pod whose name another one's begins or ends with wrote nothing here."""
    found = set(names_in(f'"pod_name":"{POD}-0"'.encode()))

    assert f"{POD}-0" in found
    assert not {POD, "frontend", "0"} & found


def test_bytes_that_are_no_text_hold_no_names() -> None:
    """A fragment may be anything."""
    assert set(names_in(b"\xff\xfe\x00")) == set()
