"""Makes images: ours, and what stands in for others where no registry can be reached."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

import docker

from tests.image.engine import Engine
from tests.servers.apache import jars
from tests.servers.process import ServerError, folder, run

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
COMPOSE: Final = ROOT / "deploy" / "compose.yaml"
IMAGE: Final = "mirrorproof-test/mirrorproof"
_DEBIAN: Final = "mirrorproof-test/debian"
_SHELLS: Final = {"sh", "bash", "dash", "rbash", "busybox"}
_PIP: Final = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
_STAND_INS: Final = ("kafka", "postgres", "prometheus", "alertmanager")


def base_image(engine: Engine) -> str:
    """The base of all other images: the one that is named, that of the Dockerfile, or Debian.

    Raises:
        ServerError: Neither is to be had.
    """
    named = os.environ.get("MIRRORPROOF_TEST_BASE_IMAGE")
    if named:
        return named
    default = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert default is not None
    if engine.gets(default[1]):
        return default[1]
    if not engine.client.images.list(_DEBIAN):
        _make_debian(engine)
    return _DEBIAN


def _make_debian(engine: Engine) -> None:
    """Debian with Python, from its packages, with this machine's certificates and pip settings."""
    if shutil.which("debootstrap") is None:
        raise ServerError("no base image can be fetched: install debootstrap, to make one")
    with folder("debian") as home:
        root = home / "root"
        packages = "python3,python3-venv,python3-pip,ca-certificates"
        run(["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root)])
        trusted = ssl.get_default_verify_paths().cafile
        for source in filter(None, (trusted, "/etc/pip.conf")):
            if Path(source).is_file():
                (root / source.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, root / source.lstrip("/"))
        run(["tar", "-C", str(root), "--exclude=./var/cache/apt/*", "-cf", f"{root}.tar", "."])
        engine.client.api.import_image_from_file(f"{root}.tar", repository=_DEBIAN, tag="latest")


def without_shell(engine: Engine, image: str) -> str:
    """The same image without what could run a script."""
    container = engine.client.containers.create(image, ["true"])
    path = engine.client.images.get(image).attrs["Config"].get("Env") or []
    with tempfile.TemporaryFile() as whole, tempfile.NamedTemporaryFile(suffix=".tar") as rest:
        for chunk in container.export():
            whole.write(chunk)
        container.remove()
        whole.seek(0)
        with tarfile.open(fileobj=whole) as source, tarfile.open(rest.name, "w") as target:
            for member in source:
                names = {Path(member.name).name, Path(member.linkname).name}
                if member.isdir() or not names & _SHELLS:
                    target.addfile(member, source.extractfile(member) if member.isreg() else None)
        engine.client.api.import_image_from_file(
            rest.name,
            repository="mirrorproof-test/no-shell",
            tag="latest",
            changes=[f"ENV {one}" for one in path],
        )
    return "mirrorproof-test/no-shell"


def build_ours(engine: Engine, base: str, runtime_base: str) -> Any:
    """Builds deploy/Dockerfile."""
    arguments = {"BASE": base, "RUNTIME_BASE": runtime_base}
    arguments |= {name: os.environ[name] for name in _PIP if name in os.environ}
    return _build(engine, ROOT, IMAGE, dockerfile="deploy/Dockerfile", buildargs=arguments)


def server_images(engine: Engine, base: str) -> dict[str, str]:
    """What has to be said to compose.yaml so that it finds an image of each server.

    Returns:
        Variables of those that cannot be fetched: the name of an image of our own, or an empty
        name where there is none.
    """
    found = {}
    for variable, image in re.findall(r"image: \$\{(\w+)_IMAGE:-(\S+)\}", COMPOSE.read_text()):
        name = variable.lower()
        if name != "mirrorproof" and not engine.gets(image):
            found[f"{variable}_IMAGE"] = stand_in(engine, base, name) if name in _STAND_INS else ""
    return found


def stand_in(engine: Engine, base: str, name: str) -> str:
    """An image of a server, from Debian's packages or Kafka's jars."""
    with folder("stand-in") as home:
        for file in HERE.glob("*.[Ds]*"):
            shutil.copy(file, home)
        shutil.copytree(jars(), home / "jars")
        options = {"dockerfile": "servers.Dockerfile", "target": name, "buildargs": {"BASE": base}}
        _build(engine, home, f"mirrorproof-test/{name}", **options)
    return f"mirrorproof-test/{name}"


def _build(engine: Engine, context: Path, tag: str, **options: Any) -> Any:
    try:
        image, _log = engine.client.images.build(
            path=str(context), tag=tag, network_mode="host", rm=True, **options
        )
    except docker.errors.BuildError as error:
        said = "".join(str(step.get("stream", step)) for step in error.build_log)
        raise ServerError(f"{tag} cannot be built:\n{said[-4000:]}") from error
    return image
