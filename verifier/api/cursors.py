"""Opaque cursors: where a page ended, signed, so that nobody makes one up. Pure."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256
from typing import Final

_TAG_BYTES: Final = 12
MAX_LENGTH: Final = 400
"""Characters; ours are shorter."""


class BadCursor(ValueError):
    """It is not one of ours, or belongs to another question."""


def write_cursor(secret: bytes, question: str, position: tuple[int, ...]) -> str:
    """A cursor.

    Args:
        secret: That all replicas share.
        question: What is asked: the cursor fits no other.
        position: The sort key of the last row of the page.
    """
    body = json.dumps(position, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_tag(secret, question, body) + body).decode().rstrip("=")


def read_cursor(secret: bytes, question: str, cursor: str) -> tuple[int, ...]:
    """The position that a cursor names.

    Raises:
        BadCursor: It is not ours, was cut, or belongs to another question.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise BadCursor from None
    tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if len(cursor) > MAX_LENGTH or not hmac.compare_digest(tag, _tag(secret, question, body)):
        raise BadCursor
    return tuple(json.loads(body))


def _tag(secret: bytes, question: str, body: bytes) -> bytes:
    said = f"cursor\n{question}\n".encode("utf-8", "surrogatepass") + body
    return hmac.digest(secret, said, sha256)[:_TAG_BYTES]
