"""Has pytest say how what `check` and the live pipeline say differs."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.facts.both")
