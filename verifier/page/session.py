"""The cookie of somebody who showed a key: which key, until when, signed. Pure."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256
from typing import Final

COOKIE: Final = "mirrorproof_session"
LIFE_US: Final = 12 * 3_600_000_000
"""A day at work; the key itself may end earlier."""
_TAG_BYTES: Final = 16
_MAX_LENGTH: Final = 300


def write_session(secret: bytes, prefix: str, now_us: int) -> str:
    """The value of the cookie for the key with a public beginning."""
    body = json.dumps([prefix, now_us + LIFE_US]).encode()
    return base64.urlsafe_b64encode(_tag(secret, body) + body).decode()


def read_session(secret: bytes, value: str, now_us: int) -> str | None:
    """The public beginning of the key; None: the cookie is none of ours, or over."""
    if len(value) > _MAX_LENGTH:
        return None
    try:
        raw = base64.b64decode(value, altchars=b"-_", validate=True)
    except ValueError:
        return None
    tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(secret, body)):
        return None
    prefix, until_us = json.loads(body)
    return str(prefix) if now_us < until_us else None


def _tag(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, b"session\n" + body, sha256)[:_TAG_BYTES]
