"""The README says of every kind of incident what the code does."""

from __future__ import annotations

import re

import yaml

from tests.docs import README, with_kinds
from verifier.incidents.event import Kind
from verifier.incidents.kinds import PIPELINE_KINDS, POLICY_KINDS, SPECS
from verifier.policies.node import Node
from verifier.policies.rules import read_rules


def test_table_of_kinds_is_that_of_the_code() -> None:
    """Every kind is in the README with its defaults (`python -m tests.docs`)."""
    text = README.read_text()

    assert text == with_kinds(text)


def test_every_kind_is_specified_once() -> None:
    """It is of policies, or of the pipeline."""
    assert [*POLICY_KINDS, *PIPELINE_KINDS] == list(Kind)
    assert list(SPECS) == list(Kind)


def test_the_rules_shown_in_the_readme_are_read() -> None:
    """The example of a policy's own rules means what it seems to."""
    shown = re.search(r"    rules:\n      incidents:\n(?:        .*\n)+", README.read_text())
    assert shown

    rules = read_rules(Node(yaml.safe_load(shown[0])["rules"], "README.md"))

    missing, duplicates = rules.incidents
    assert (missing.threshold, missing.for_us, missing.severity) == (0.001, 300_000_000, "critical")
    assert (duplicates.kind, duplicates.enabled) == ("duplicates", False)
