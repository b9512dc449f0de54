"""What is sealed, and which keys are keys."""

from __future__ import annotations

import base64

import pytest

from collector.errors import UsageError
from verifier.alerts.vault import Vault

KEY, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (251, 255))


def test_what_is_sealed_shows_nothing_and_is_opened_again() -> None:
    """Twice the same text is not twice the same seal."""
    vault = Vault(KEY)
    first, second = vault.seal("whsec_x"), vault.seal("whsec_x")

    assert first != second
    assert "whsec" not in first + second
    assert vault.open(first) == vault.open(second) == "whsec_x"


@pytest.mark.parametrize(
    "text", [KEY, KEY.rstrip("="), KEY.replace("+", "-").replace("/", "_"), f" {KEY}\n"]
)
def test_a_key_is_read_in_every_form_of_base64(text: str) -> None:
    """Common or for URLs, padded or not, with the file's last line break."""
    assert Vault(text).open(Vault(KEY).seal("x")) == "x"


@pytest.mark.parametrize("text", ["secret", KEY[:-8], KEY + "AAAA", "ä" * 43, f"{KEY} x"])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    """The reason says how to make one."""
    with pytest.raises(UsageError, match="openssl rand -base64 32") as caught:
        Vault(text)

    assert text not in str(caught.value)


def test_a_changed_or_foreign_seal_is_refused() -> None:
    """Nobody who can write to the database redirects alerts."""
    sealed = Vault(KEY).seal("x")

    for wrong in (sealed[:-2] + "AA", "{}", ""):
        with pytest.raises(UsageError, match="does not have"):
            Vault(KEY).open(wrong)
    with pytest.raises(UsageError, match="does not have"):
        Vault(OTHER).open(sealed)
    with pytest.raises(UsageError, match="is not set"):
        Vault().open(sealed)
