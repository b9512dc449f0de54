"""Short forms of a judgement for tests."""

from __future__ import annotations

from tests.factories import terms
from verifier.pairing.judge import judge
from verifier.pairing.lines import Finding, Line, Terms


def verdicts(lines: list[Line], asked: Terms | None = None) -> dict[str, int]:
    """The counts that are not zero."""
    found = judge(lines, asked or terms())
    return {str(verdict): count for verdict, count in found.counts.items() if count}


def only(lines: list[Line], asked: Terms | None = None) -> Finding:
    """The only finding."""
    (finding,) = judge(lines, asked or terms()).findings
    return finding
