"""How many generated cases property tests take, the same ones in each run.

`MIRRORPROOF_TEST_EXAMPLES` takes so many times as many, drawn anew: for nights.
"""

from __future__ import annotations

import os

from hypothesis import settings

MANY = int(os.environ.get("MIRRORPROOF_TEST_EXAMPLES", "1"))

settings.register_profile("tests", max_examples=50 * MANY, deadline=None, derandomize=MANY == 1)
settings.load_profile("tests")
