"""The installation's own signature: an Ed25519 key that is made once and kept in the database.

Who can write to the database can read the key. A signature says which installation a document is
from and that nobody changed it on its way; that nobody changed the database is what the chain of
windows, and a document kept elsewhere, tell together.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.engine import writing
from collector.db.tables import setting

_KEY: Final = "certificate_key"
ALGORITHM: Final = "Ed25519"


def signing_key(engine: Engine) -> Ed25519PrivateKey:
    """The key; made when there is none yet. Replicas that start together share the first one's."""
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    made = Ed25519PrivateKey.generate().private_bytes_raw().hex()
    with writing(engine) as connection:
        new = {"key": _KEY, "value": made}
        connection.execute(dialect.insert(setting).values(new).on_conflict_do_nothing())
        found = connection.scalars(select(setting.c.value).where(setting.c.key == _KEY)).one()
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(found))


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key, base64."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(document: dict[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The document with its signature beside it."""
    value = base64.b64encode(key.sign(canonical(document))).decode()
    signature = {"algorithm": ALGORITHM, "public_key": public_text(key), "value": value}
    return {**document, "signature": signature}


def is_signed(document: dict[str, Any]) -> bool:
    """Whether nobody changed a document since the key that it names signed it."""
    rest = {name: value for name, value in document.items() if name != "signature"}
    given = document.get("signature")
    try:
        if not isinstance(given, dict) or given["algorithm"] != ALGORITHM:
            return False
        public = Ed25519PublicKey.from_public_bytes(_bytes(given["public_key"]))
        public.verify(_bytes(given["value"]), canonical(rest))
    except (InvalidSignature, KeyError, TypeError, ValueError):
        return False
    return True


def canonical(document: dict[str, Any]) -> bytes:
    """A document in the one notation that is signed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
