"""A certificate authority for one test run, and certificates of a server and a client by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.process import run

_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_EXTENSIONS: Final = """\
basicConstraints=critical,CA:FALSE
subjectAltName=DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth,clientAuth
authorityKeyIdentifier=keyid
"""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files.

    Attributes:
        authority: The authority's certificate.
        server: The server's key with its certificate.
        client: The client's certificate.
        client_key: Its key.
    """

    authority: Path
    server: Path
    client: Path
    client_key: Path


def create_certificates(home: Path) -> Certificates:
    """Makes all of them with `openssl`, valid for two days.

    Raises:
        ServerError: openssl failed.
    """
    (home / "extensions").write_text(_EXTENSIONS)
    run(
        [
            *("openssl", "req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem"),
            *("-days", "2", "-subj", "/CN=mirrorproof tests"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        ],
        cwd=home,
    )
    _sign(home, "server", "/CN=localhost")
    _sign(home, "client", "/CN=mirrorproof")
    server = home / "server.pem"
    server.write_text((home / "server.key").read_text() + (home / "server.crt").read_text())
    return Certificates(home / "ca.pem", server, home / "client.crt", home / "client.key")


def _sign(home: Path, name: str, subject: str) -> None:
    """Makes NAME.key and NAME.crt."""
    run(
        [
            *("openssl", "req", "-new", *_NEW_KEY, "-keyout", f"{name}.key"),
            *("-out", f"{name}.csr", "-subj", subject),
        ],
        cwd=home,
    )
    run(
        [
            *("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem"),
            *("-CAkey", "ca.key", "-CAcreateserial", "-days", "2"),
            *("-extfile", "extensions", "-out", f"{name}.crt"),
        ],
        cwd=home,
    )
