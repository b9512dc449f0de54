"""Seals what the database keeps of endpoints that the API added: addresses and secrets.

Whoever reads the database, or a copy of it, must not be able to write to a team's pager. The key is
a setting of the processes that add and deliver, and never in the database.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from collector.errors import UsageError
from collector.settings.alerts import AlertsSettings

_KEY_BYTES: Final = 32


class Vault:
    """Seals and opens texts.

    Args:
        text: Keys, base64 of 32 bytes each, separated by blanks: the first one seals, all open.
            Empty: nothing can be sealed or opened.

    Raises:
        UsageError: One is no key.
    """

    def __init__(self, text: str = "") -> None:
        keys = [Fernet(_read_key(key)) for key in text.split()]
        self._fernet: Final = MultiFernet(keys) if keys else None

    def seal(self, text: str) -> str:
        """What may be stored. Raises UsageError: there is no key."""
        if self._fernet is None:
            raise UsageError(
                "alerts.key_file is not set, and secrets are not stored without it: write the"
                " output of `openssl rand -base64 32` into a file that this process and the"
                " verifiers can read, or put the endpoint into the settings"
            )
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises UsageError: by none of the keys."""
        if self._fernet is None:
            raise UsageError("it is sealed, and alerts.key_file is not set here")
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise UsageError("it is sealed with a key that alerts.key_file does not have") from None

    def renew(self, sealed: str) -> str:
        """The same, sealed with the first key now. Raises UsageError: as `open`."""
        return self.seal(self.open(sealed))


def _read_key(text: str) -> bytes:
    """A key, in either alphabet of base64, with or without its padding. Raises UsageError."""
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        found = binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        found = b""
    if len(found) != _KEY_BYTES:
        raise UsageError(
            "alerts.key must be base64 of 32 bytes, as `openssl rand -base64 32` writes it"
        )
    return base64.urlsafe_b64encode(found)


def vault_of(own: AlertsSettings) -> Vault:
    """The vault of the settings. Raises UsageError: the key cannot be read, or is none."""
    return Vault(own.given_key() or "")
