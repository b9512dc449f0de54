"""A certificate authority for one test run, and a server certificate by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.process import run

_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_SERVER_EXTENSIONS: Final = """\
basicConstraints=critical,CA:FALSE
subjectAltName=DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth
authorityKeyIdentifier=keyid
"""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority's certificate, and the server's key with its certificate."""

    authority: Path
    server: Path


def create_certificates(home: Path) -> Certificates:
    """Makes both with `openssl`, valid for two days.

    Raises:
        ServerError: openssl failed.
    """
    (home / "extensions").write_text(_SERVER_EXTENSIONS)
    run(
        [
            *("openssl", "req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem"),
            *("-days", "2", "-subj", "/CN=mirrorproof tests"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        ],
        cwd=home,
    )
    run(
        [
            *("openssl", "req", "-new", *_NEW_KEY, "-keyout", "server.key"),
            *("-out", "server.csr", "-subj", "/CN=localhost"),
        ],
        cwd=home,
    )
    run(
        [
            *("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem"),
            *("-CAkey", "ca.key", "-CAcreateserial", "-days", "2"),
            *("-extfile", "extensions", "-out", "server.crt"),
        ],
        cwd=home,
    )
    server = home / "server.pem"
    server.write_text((home / "server.key").read_text() + (home / "server.crt").read_text())
    return Certificates(home / "ca.pem", server)
