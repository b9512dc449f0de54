"""Rules of the repository that no linter knows."""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_TOP_LEVEL: Final = {
    *("collector", "verifier", "migrations", "deploy", "tests"),
    *("pyproject.toml", "requirements.lock", "Makefile", ".ci", ".gitignore", ".dockerignore"),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"),
}
_APACHE_2: Final = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
_MAX_MODULE_LINES: Final = 300
_MAX_FUNCTION_LINES: Final = 50
# In pieces: this file must not name them either.
_REGISTRIES: Final = [
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
    )
]


def _files() -> list[Path]:
    """Every file that is in the repository or would be added to it."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        # The clone may belong to another user; git asks to be told that this is meant.
        command = [git, "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
        output = subprocess.check_output(
            [*command, "--cached", "--others", "--exclude-standard"], cwd=ROOT
        )
        paths = [ROOT / os.fsdecode(name) for name in output.split(b"\0") if name]
        return [path for path in paths if path.is_file()]
    return _files_without_git()


def _files_without_git() -> list[Path]:
    names = (ROOT / ".gitignore").read_text().split()
    ignored = re.compile("|".join(fnmatch.translate(name.rstrip("/")) for name in [".git", *names]))
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not ignored.match(name)]
        found += [Path(folder, name) for name in files if not ignored.match(name)]
    return found


def _modules(*folders: str) -> Iterator[Path]:
    for path in _files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders:
            yield path


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_found_without_git() -> None:
    """On a machine that has no git the rules are checked on the same files."""
    assert set(_files()) == set(_files_without_git())


def test_top_level_holds_only_what_was_agreed() -> None:
    """No file or folder appears at the top level by accident."""
    found = {path.relative_to(ROOT).parts[0] for path in _files()}

    assert found - _TOP_LEVEL == set()


def test_license_is_the_whole_apache_license() -> None:
    """The licence text is complete, and the package says the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == _APACHE_2
    assert project["license"] == "Apache-2.0"


def test_modules_stay_readable() -> None:
    """No module of the product is longer than can be read in one sitting."""
    modules = _modules("collector", "verifier", "migrations")
    lengths = {_name(path): len(path.read_text().splitlines()) for path in modules}

    assert {k: v for k, v in lengths.items() if v > _MAX_MODULE_LINES} == {}


def test_functions_stay_readable() -> None:
    """No function of the product is longer than a screen; migrations list tables and may be."""
    lengths = {
        f"{_name(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in _modules("collector", "verifier")
        for node in _functions(path)
    }

    assert {k: v for k, v in lengths.items() if v > _MAX_FUNCTION_LINES} == {}


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in _modules("tests")
        for node in _functions(path)
        if path.name.startswith("test_") and node.name.startswith("test_")
        if not ast.get_docstring(node)
    ]

    assert silent == []


def test_no_file_names_a_package_registry() -> None:
    """Whoever installs uses the registry that their own clients are set to."""
    named = [
        f"{_name(path)}: {host}"
        for path in _files()
        for host in _REGISTRIES
        if host.encode() in path.read_bytes()
    ]

    assert named == []


def test_lock_has_hashes_and_no_addresses() -> None:
    """Every locked package is pinned with its hashes; none says where it comes from."""
    entries = (ROOT / "requirements.lock").read_text().replace("\\\n", "").splitlines()
    packages = [line for line in entries if line and not line.startswith("#")]

    assert [line for line in packages if "==" not in line or "--hash=sha256:" not in line] == []
    assert [line for line in packages if "://" in line or " @ " in line] == []


def test_lock_covers_what_the_package_asks_for() -> None:
    """Whoever adds a dependency runs `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    lock = (ROOT / "requirements.lock").read_text()
    locked = {line.split("==")[0] for line in lock.splitlines() if "==" in line}

    names = {item.split("[")[0].split("=")[0].split(">")[0].split("<")[0] for item in wanted}

    assert names - locked == set()


def test_imports_go_one_way() -> None:
    """The contracts of import-linter hold: see pyproject.toml."""
    program = Path(sys.executable).parent / "lint-imports"

    result = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
