"""Policies as they are kept in the database, and back."""

from __future__ import annotations

from typing import Final

import msgspec

from collector.policy_record import PolicyRecord
from verifier.policies.model import Policy

_decoder: Final = msgspec.json.Decoder(Policy)


def to_record(policy: Policy) -> PolicyRecord:
    """A policy for `collector.db.policies.record_versions`.

    Where it was written (`source`) is left out: moving a file makes no new version. So is from
    when it is valid, which is recorded beside it.
    """
    said = msgspec.structs.replace(policy, source="", valid_from_us=None)
    document = msgspec.json.encode(said)
    return PolicyRecord(policy.name, document.decode(), policy.hosts, policy.valid_from_us)


def from_document(document: str) -> Policy:
    """The policy of a stored document. Raises msgspec.ValidationError: it is of another release."""
    return _decoder.decode(document)
