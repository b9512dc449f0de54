"""How the interpreter of a collecting process shares its time. For a process of its own only."""

from __future__ import annotations

import gc
import sys
from typing import Final

_SWITCH_S: Final = 0.02
"""How long a thread that reads or packs may go on while another one waits for the interpreter.

At Python's 5 ms the threads of reading, writing and the Kafka client interrupt each other so often
that it costs processor time. Probes and metrics may wait as long, which is nothing.
"""
_YOUNG: Final = 50_000
"""New containers until the youngest are looked through; lines form no cycles, but are many."""


def favour_throughput() -> None:
    """Interrupts threads less often, and looks for garbage in cycles less often."""
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # what is imported stays; it is not looked through again and again
    gc.set_threshold(_YOUNG, 20, 20)
