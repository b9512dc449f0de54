"""Tokens of an OpenID Connect provider, whose keys a real server of this machine tells."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi.testclient import TestClient

from collector.db.engine import open_engine
from tests.api import ELSEWHERE, asking, services_of
from tests.clocks import HandClock
from tests.settling import NOW
from verifier.api.provider import LIFE_S, RETRY_S
from verifier.api.services import Services

ISSUER = "https://id.example.com/"
AUDIENCE = "mirrorproof"
SCOPES = {
    "mirrorproof:read": (200, 403, 403),
    "openid mirrorproof:raw": (200, 200, 403),
    "mirrorproof:admin": (200, 200, 200),
    "read": (403, 403, 403),
    "": (403, 403, 403),
}


@dataclass
class Provider:
    """A provider with keys by their ids; counts how often it is asked.

    Attributes:
        keys: Private keys.
        status: What it answers with.
        answers: While it is not set, it answers nobody.
        is_asked: Set by each question.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    asked: int = 0
    answers: threading.Event = field(default_factory=threading.Event)
    is_asked: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def token(self, kid: str = "first", algorithm: str = "RS256", **changed: Any) -> str:
        """A token of somebody who may read; None takes a claim away."""
        now_s = time.time()
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": now_s + 600, "iat": now_s,
            "scope": "mirrorproof:read",
        } | changed  # fmt: skip
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.keys[kid], algorithm, headers={"kid": kid})

    def document(self) -> bytes:
        """Its set of public keys."""
        said = []
        for kid, key in self.keys.items():
            kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else (
                jwt.algorithms.ECAlgorithm
            )  # fmt: skip
            said.append(json.loads(kind.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"})
        return json.dumps({"keys": said}).encode()


@pytest.fixture(scope="module")
def rsa_keys() -> list[Any]:
    """Two of them: making one takes a while."""
    return [rsa.generate_private_key(65_537, 2048) for _ in range(2)]


@pytest.fixture
def provider(rsa_keys: list[Any]) -> Iterator[Provider]:
    """A provider with one key."""
    found = Provider({"first": rsa_keys[0]})
    found.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            found.is_asked.set()
            found.answers.wait(30)
            body = found.document()
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/keys"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def services(provider: Provider, migrated_sqlite_url: str) -> Iterator[Services]:
    """Of an API that takes tokens of the provider."""
    engine = open_engine(migrated_sqlite_url)
    yield services_of(
        engine, NOW, oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_jwks_url=provider.url
    )
    engine.dispose()


@pytest.fixture
def api(services: Services) -> Iterator[TestClient]:
    """Asked from elsewhere."""
    with asking(services, client=ELSEWHERE) as found:
        yield found


@pytest.fixture
def clock(services: Services) -> HandClock:
    """By which keys grow old."""
    assert isinstance(services.clock, HandClock)
    return services.clock


def status(api: TestClient, token: str, method: str = "GET", path: str = "policies") -> int:
    """What an answer to a token is."""
    headers = {"Authorization": f"Bearer {token}"}
    found: int = api.request(method, f"/api/v1/{path}", headers=headers).status_code
    return found


@pytest.mark.parametrize("scope", SCOPES)
def test_scopes_of_a_token_open_what_they_name(
    api: TestClient, provider: Provider, scope: str
) -> None:
    """With the prefix of the settings, and no others."""
    token = provider.token(scope=scope)

    found = (
        status(api, token),
        status(api, token, path="requests?id=x"),
        status(api, token, "DELETE", "requests?id=x&why=test"),
    )

    assert found == SCOPES[scope]


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example/"},
        {"iss": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"sub": 7},
    ],
    ids=str,
)
def test_claims_that_are_wrong_open_nothing(
    api: TestClient, provider: Provider, changed: dict[str, Any]
) -> None:
    """For another audience, by another issuer, over, not valid yet, of nobody."""
    assert status(api, provider.token(**changed)) == 401
    assert status(api, provider.token()) == 200


def test_scopes_may_be_a_list(api: TestClient, provider: Provider) -> None:
    """And what is neither list nor text grants nothing."""
    assert status(api, provider.token(scope=["mirrorproof:read"])) == 200
    assert status(api, provider.token(scope={"mirrorproof:read": True})) == 403
    assert status(api, provider.token(scope=5)) == 403


def test_nobody_signs_with_what_everybody_knows(api: TestClient, provider: Provider) -> None:
    """Without a signature, with the public key as a shared secret, with a key of one's own."""
    claims = jwt.decode(provider.token(), options={"verify_signature": False})
    head = {"kid": "first"}
    public = provider.keys["first"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forged = [
        jwt.encode(claims, None, "none", headers=head),
        _signed_with_hmac(claims, pem),
        jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers=head),
        jwt.encode(claims, rsa.generate_private_key(65_537, 2048), "RS256", headers=head),
        provider.token()[:-4] + "AAAA",
        "a.b.c",
        "x" * 20_000,
    ]

    assert [status(api, token) for token in forged] == [401] * len(forged)


def _signed_with_hmac(claims: dict[str, Any], secret: bytes) -> str:
    """As an attacker would: the library refuses to take a public key for a secret."""

    def text(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    head = text(b'{"alg":"HS256","typ":"JWT","kid":"first"}')
    body = f"{head}.{text(json.dumps(claims).encode())}"
    return f"{body}.{text(hmac.digest(secret, body.encode(), 'sha256'))}"


def test_a_new_key_is_learned_and_an_old_one_forgotten(
    api: TestClient, provider: Provider, clock: HandClock, rsa_keys: list[Any]
) -> None:
    """Without a restart: at once, but for the pause between two questions."""
    old = provider.token()
    assert status(api, old) == 200
    provider.keys = {"second": rsa_keys[1]}
    clock.advance(RETRY_S)

    assert status(api, provider.token("second")) == 200
    assert status(api, old) == 401


def test_keys_of_curves_count(api: TestClient, provider: Provider) -> None:
    """Providers sign with either."""
    provider.keys["curve"] = ec.generate_private_key(ec.SECP256R1())

    assert status(api, provider.token("curve", "ES256")) == 200


def test_unknown_keys_do_not_make_us_ask_without_end(
    api: TestClient, provider: Provider, rsa_keys: list[Any]
) -> None:
    """Whatever tokens name: there is a pause between two questions."""
    good = provider.token()
    provider.keys |= {f"made up {number}": rsa_keys[1] for number in range(20)}
    tokens = [provider.token(f"made up {number}") for number in range(20)]
    provider.keys = {"first": rsa_keys[0]}

    assert {status(api, token) for token in tokens} == {401}
    assert status(api, good) == 200
    assert provider.asked == 1


def test_a_provider_that_is_away_is_no_fault_of_the_token(
    api: TestClient, provider: Provider, clock: HandClock
) -> None:
    """Try again, it says; who was known before goes on for a while."""
    provider.status = 500
    answer = api.get("/api/v1/policies", headers={"X-API-Key": provider.token()})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(RETRY_S))
    assert "it answers 500" in answer.json()["detail"]
    provider.status = 200
    assert status(api, provider.token()) == 503
    clock.advance(RETRY_S)
    assert status(api, provider.token()) == 200
    provider.status = 500
    clock.advance(LIFE_S + 1)

    assert status(api, provider.token()) == 200
    clock.advance(3_600)
    assert status(api, provider.token()) == 503


def test_a_silent_provider_holds_up_one_caller_only(api: TestClient, provider: Provider) -> None:
    """While one waits for its answer, others are told to come back, and probes answer."""
    provider.answers.clear()
    found: list[int] = []
    waiting = threading.Thread(target=lambda: found.append(status(api, provider.token())))
    waiting.start()
    assert provider.is_asked.wait(30)

    others = [status(api, provider.token()) for _ in range(3)]
    alive = api.get("/healthz").status_code
    provider.answers.set()
    waiting.join()

    assert (others, alive, found) == ([503] * 3, 200, [200])
