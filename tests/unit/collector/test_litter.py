"""Cycles that hold descriptors are broken while nothing is read, and not at each look."""

from __future__ import annotations

import gc
import weakref

from collector.sources.litter import Litter


class Held:
    """Stands for a socket in a cycle."""

    def __init__(self) -> None:
        self.itself = self


def test_what_hangs_in_a_cycle_goes_once_in_a_while() -> None:
    """Not before five seconds passed, and then at once."""
    now_s = [100.0]
    litter = Litter(lambda: now_s[0])
    gc.disable()
    try:
        held = weakref.ref(Held())
        now_s[0] += 4.9
        litter.take_away()
        assert held() is not None

        now_s[0] += 0.1
        litter.take_away()
        assert held() is None
    finally:
        gc.enable()
