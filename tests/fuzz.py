"""`make fuzz`: lets atheris look for inputs that break reading: `python -m tests.fuzz SECONDS`.

It begins with real values (`tests.fuzzing`) and follows the branches that they take. An input that
raises, breaks an invariant, or takes more than some seconds ends the run with status 77 or 70 and
is written to the current folder.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError as error:
    sys.exit(f"make fuzz: atheris cannot be used with this Python ({error})")

with atheris.instrument_imports(include=["collector.envelopes", "collector.formats"]):
    from tests import fuzzing

_LONGEST_BYTES = 64 * 1024
_SLOWEST_S = 20  # such an input takes a hundredth of it; quadratic time would take hours


def main(seconds: int) -> None:
    """Fuzzes for so long."""
    words = [f'"{_escape(word)}"' for word in fuzzing.WORDS]
    with tempfile.TemporaryDirectory(prefix="mirrorproof-fuzz-") as name:
        folder = Path(name)
        (folder / "words").write_text("\n".join(words) + "\n")
        (folder / "corpus").mkdir()
        for number, seed in enumerate(dict.fromkeys(fuzzing.seeds())):
            (folder / "corpus" / f"{number:04}").write_bytes(seed)
        options = {
            "max_total_time": seconds, "max_len": _LONGEST_BYTES, "timeout": _SLOWEST_S,
            "rss_limit_mb": 2048, "dict": folder / "words", "print_final_stats": 1,
        }  # fmt: skip
        arguments = [f"-{option}={value}" for option, value in options.items()]
        atheris.Setup([sys.argv[0], *arguments, str(folder / "corpus")], fuzzing.check)
        atheris.Fuzz()


def _escape(word: bytes) -> str:
    """A word in a dictionary of libFuzzer."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(int(sys.argv[1]))
