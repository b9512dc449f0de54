"""How fast `check` is, beside what one would write by hand.

The logs are those of a recording, copied with other ids and minutes. Each run is a whole process,
the commands take turns, and the ratio of neighbouring runs is what counts: machines are noisy.
"""

from __future__ import annotations

import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests import recordings
from tests.bench.figures import Figure, Options, Run

_UUID = re.compile(rb"([0-9a-f]{8})(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")

# What one would do by hand: one expression, one dictionary, on one core.
_BY_HAND = r"""
import re, sys
match = re.compile(
    r'\[[^\]]+\] "(\S+) (\S+) [^"]+" \d+ \S+ \S+ \S+ "[^"]*" \d+ \d+ \d+ \S+'
    r' "[^"]*" "[^"]*" "([^"]*)" "[^"]*" "[^"]*" (\S+)').match
seen = {}
for path in sys.argv[1:]:
    bit = 1 if "-v1-" in path else 2
    for line in open(path):
        found = match(line)
        if found:
            method, path_, request_id, cluster = found.groups()
            key = (request_id, method, path_)
            seen[key] = seen.get(key, 0) | bit
print(sum(bits == 2 for bits in seen.values()), "without a copy")
"""

# The same question to ClickHouse inside Python, where the package chdb is installed.
_CLICKHOUSE = r"""
import chdb, os, sys
folder = os.path.dirname(sys.argv[1])
print(chdb.query(r'''
SELECT countIf(mirrored = 0) FROM (
  SELECT g[1], g[2], g[3], countIf(f LIKE '%forecast-v1-%') AS mirrored FROM (
    SELECT extractGroups(line, '^\\[[^\\]]+\\] "(\\S+) (\\S+) [^"]+" \\d+ \\S+ \\S+ \\S+ '
      || '"[^"]*" \\d+ \\d+ \\d+ \\S+ "[^"]*" "[^"]*" "([^"]*)" "[^"]*" "[^"]*" (\\S+)') AS g,
      _file AS f
    FROM file('FOLDER/*.log', 'LineAsString')
  ) GROUP BY g[1], g[2], g[3])'''.replace('FOLDER', folder)))
"""


def copies(lines: list[bytes], count: int) -> bytes:
    """A log `count` times over, each time with other ids and another minute."""
    text = b"".join(lines)
    hour_minute = re.compile(rb"(?<=T)\d\d:\d\d(?=:)")
    parts = []
    for number in range(count):
        clock = b"%02d:%02d" % (number // 60 % 24, number % 60)
        moved = hour_minute.sub(clock, text)
        parts.append(
            _UUID.sub(
                lambda m, n=number: b"%08x%s" % ((int(m[1], 16) + n) & 0xFFFFFFFF, m[2]), moved
            )
        )
    return b"".join(parts)


def make_logs(folder: Path, lines: int) -> tuple[list[str], int]:
    """Writes about so many lines; the files and the exact number."""
    logs = recordings.read("clean")
    count = max(1, lines // sum(len(part) for part in logs.values()))
    written = 0
    for pod, part in logs.items():
        (folder / f"{pod}.log").write_bytes(copies(part, count))
        written += count * len(part)
    return [str(folder / f"{pod}.log") for pod in logs], written


def run(command: list[str]) -> Run:
    """A whole process with all its children. Raises CalledProcessError when it fails."""
    begin, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu_s = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Run(time.perf_counter() - begin, cpu_s)


def checks(options: Options) -> Iterator[Figure]:
    """`check`, and other ways to the same numbers."""
    with tempfile.TemporaryDirectory(prefix="mirrorproof-bench-") as name:
        files, lines = make_logs(Path(name), options.lines)
        policy = str(recordings.POLICIES / "weather-mirror.yaml")
        commands = {
            "check": [sys.executable, "-m", "verifier", "check", "--policy", policy, *files],
            "check: one expression, one dictionary": [sys.executable, "-c", _BY_HAND, *files],
        }
        if importlib.util.find_spec("chdb"):
            commands["check: ClickHouse (chdb)"] = [sys.executable, "-c", _CLICKHOUSE, *files]
        yield from _compare(commands, lines, options.runs)


def _compare(commands: dict[str, list[str]], lines: int, runs: int) -> Iterator[Figure]:
    for command in commands.values():
        run(command)  # fills the page cache, compiles modules
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            found[name].append(run(command))
    own = found["check"]
    for name, taken in found.items():
        pairs = zip(taken, own, strict=True)
        ratio = statistics.median(one.wall_s / beside.wall_s for one, beside in pairs)
        yield Figure(name, lines, tuple(taken), f"takes {ratio:.2f} × as long as check")
