"""The same in small through real lines, ticks and a database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from collector.db.engine import open_engine
from collector.db.migrate import upgrade
from tests.settling import SECOND, Given, make_policy
from tests.watching import Watched
from verifier.incidents.event import Kind

_LOSS = 0.001
"""Of every line; ten times the usual, as an hour has few lines."""
_BEFORE_S = 300
_PATIENCE_S = 1800


@contextmanager
def mesh() -> Iterator[Watched]:
    """A policy on an empty SQLite database."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'month.db'}")
        upgrade(engine)
        world = Watched(engine)
        world.declare(make_policy(("v1", 100.0)))
        yield world
        engine.dispose()


def false_incidents(seconds: int, seed: int = 1) -> int:
    """How many incidents of the policy open in healthy traffic that loses lines."""
    random = Random(seed)
    with mesh() as world:
        world.run(seconds, change=lambda _number, lines: _shipped(random, lines))
        return sum(row.policy != "" for row in world.incidents())


def detection(kind: Kind, share: float, seed: int = 1) -> float | None:
    """Seconds from the begin of a drift until it is told; None: it is not."""
    random = Random(seed)

    def drifting(_number: int, lines: list[Given]) -> list[Given]:
        if random.random() < share:
            lines = lines[:2] if kind is Kind.MISSING else [*lines, lines[2]]
        return _shipped(random, lines)

    with mesh() as world:
        world.run(_BEFORE_S, change=lambda _number, lines: _shipped(random, lines))
        begin_us = world.now_us
        while world.now_us < begin_us + _PATIENCE_S * SECOND:
            world.run(10, change=drifting)
            told = [one for one in world.events if one.kind is kind]
            if told:
                return (told[0].at_us - begin_us) / SECOND
    return None


def _shipped(random: Random, lines: list[Given]) -> list[Given]:
    return [line for line in lines if random.random() >= _LOSS]
