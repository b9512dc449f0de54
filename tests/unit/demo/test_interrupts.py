from __future__ import annotations

import os
import signal

import pytest

from verifier.demo.interrupts import Interrupts


def test_the_first_interrupt_asks_and_the_second_ends() -> None:
    """Ctrl-C once gives time for the comparison; twice ends with a shell's status."""
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.requested.is_set()

        with pytest.raises(SystemExit) as ended:
            os.kill(os.getpid(), signal.SIGINT)

    assert ended.value.code == 130


def test_a_termination_ends_at_once() -> None:
    """An orchestrator does not wait for a comparison."""
    with Interrupts(), pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), signal.SIGTERM)

    assert ended.value.code == 143


def test_the_handlers_before_come_back() -> None:
    """Whoever runs the demo in his process keeps his own."""
    before = signal.getsignal(signal.SIGINT)

    with Interrupts():
        pass

    assert signal.getsignal(signal.SIGINT) is before
