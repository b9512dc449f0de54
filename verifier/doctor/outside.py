"""Tries what is outside: receivers of alerts, without sending, the token provider, the disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import make_url

from collector.errors import MirrorproofError
from collector.settings import Settings
from verifier.alerts.endpoints import FLUENTD, STDOUT, Endpoint, all_of_settings, fluent_address
from verifier.alerts.exchange import Rules
from verifier.alerts.http import get, tls_context
from verifier.alerts.lines import Backend, Deadline, Lines, SendFailed
from verifier.api.provider import NoKeys, read_keys
from verifier.doctor import judge
from verifier.doctor.finding import Finding, fail, ok, skipped

_TRY_S: Final = 5.0
_RULES: Final = Rules(timeout_s=_TRY_S, allow_http=True, allow_private=True)
_HTTP_PORTS: Final = {"http": 80, "https": 443}


def receiver(endpoint: Endpoint) -> Finding:
    """Resolves, connects, and shakes hands; no request is sent, no secret shown."""
    name = f"receiver {endpoint.name}"
    if endpoint.form == STDOUT:
        return ok(name, "standard output")
    try:
        seen = _connect(endpoint)
    except (SendFailed, MirrorproofError) as error:
        do = "mend its address, its certificate or the network policy; then mirrorproof alert test"
        return fail(name, str(error), do)
    return ok(name, seen)


def _connect(endpoint: Endpoint) -> str:
    rules = endpoint.rules
    is_fluent = endpoint.form == FLUENTD
    if is_fluent:
        where = fluent_address(endpoint.address.url)
        host, port, secure = where.host, where.port, False
    else:
        parts = urlsplit(endpoint.address.url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or _HTTP_PORTS.get(parts.scheme, 443)
    backend = Backend(
        Deadline(min(_TRY_S, rules.timeout_s)), Lines(), allow_private=rules.allow_private
    )
    stream = backend.connect_tcp(host, port)
    try:
        if secure:
            stream = stream.start_tls(tls_context(rules.ca_file), host)
    finally:
        stream.close()
    return "connects" + (", its certificate is good" if secure else "") + "; nothing was sent"


def receivers_of(settings: Settings) -> list[Endpoint]:
    """The receivers of the settings. Raises UsageError: they cannot be used."""
    return all_of_settings(settings.alerts.endpoints)


def provider(settings: Settings) -> Finding:
    """Whether the provider of tokens tells its keys, and is who the settings say."""
    own = settings.api
    if not own.oidc_issuer:
        return skipped("oidc", "api.oidc_issuer is not set")
    do = "see api.oidc_issuer and api.oidc_jwks_url, and whether this machine reaches the provider"
    try:
        known = read_keys(own.oidc_jwks_url)
    except NoKeys as error:
        return fail("oidc", f"no keys at api.oidc_jwks_url: {error}", do)
    if not known:
        return fail("oidc", "api.oidc_jwks_url has no key for signing", do)
    wrong = _unlike(own.oidc_issuer, own.oidc_jwks_url)
    if wrong:
        return fail("oidc", wrong, do)
    return ok("oidc", f"{len(known)} keys, as the issuer says")


def _unlike(issuer: str, jwks_url: str) -> str:
    """What the provider's discovery document says otherwise; empty: nothing, or it has none."""
    try:
        reply = get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", _RULES, Lines())
        if reply.status != 200:
            return ""
        said = json.loads(reply.body)
        found = said["issuer"], said["jwks_uri"]
    except SendFailed as error:
        return f"the issuer does not answer: {error}"
    except (ValueError, LookupError, TypeError):
        return "the issuer's discovery document cannot be read"
    for what, ours, theirs in zip(("issuer", "keys"), (issuer, jwks_url), found, strict=True):
        if ours != theirs:
            return f"the issuer's discovery document names another address of the {what}"
    return ""


def disk(settings: Settings) -> Finding:
    """Whether there is room, where the database is a file of this machine."""
    url = make_url(settings.database.address())
    if url.get_backend_name() != "sqlite" or not url.database:
        return skipped("disk", "the database's server has its own")
    file = Path(url.database)
    if not file.is_file():
        return skipped("disk", "there is no database file")
    parts = [file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))]
    size = sum(one.stat().st_size for one in parts if one.is_file())
    usage = shutil.disk_usage(file.parent)
    return judge.disk(usage.free, usage.total, size)
