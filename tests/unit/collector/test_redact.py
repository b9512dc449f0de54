"""What people see of a line, and what not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.redact import MAX_PATH, Redactor

SECRET = "Zs3cr3tQ"
OTHER = "Zs3cr3tW"


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("/a", "/a"),
        ("/a?", "/a?"),
        (f"/a?token={SECRET}&day=1&k", "/a?token=***&day=1&***"),
        (f"/a?day=1;token={SECRET}", "/a?day=1;token=***"),
        (f"/a?{SECRET}", "/a?***"),
        (f"/a?x=1?token={SECRET}", "/a?x=***"),
        (f"/cart;jsessionid={SECRET}/b;v=1", "/cart;jsessionid=***/b;v=***"),
        (f"/a%3Ftoken%3D{SECRET}%26x", "/a%3Ftoken%3D***"),
        (f"/a%3ftoken={SECRET}/b", "/a%3ftoken=***/b"),
        ("/a%20b;c", "/a%20b;c"),
    ],
)
def test_query_values_are_hidden(path: str, stored: str) -> None:
    """But for those of parameters that are named; names stay, as they tell requests apart."""
    assert Redactor(["day"]).redact(path) == stored


def test_everything_can_be_kept() -> None:
    """By a star; lengths are bounded all the same."""
    redactor = Redactor(["*"])

    assert redactor.redact(f"/a;s=1?x={SECRET}") == f"/a;s=1?x={SECRET}"
    assert len(redactor.redact("/a?" + "x" * 9_000)) == MAX_PATH


@pytest.mark.parametrize(
    "value",
    [
        f'[2026] "GET /a?x={SECRET}&day=1&y={OTHER} HTTP/1.1" broken',
        f'{{"path":"/a?x={SECRET}\\u0026y={OTHER}"',
        f'{{"path":"/a\\u003fx={SECRET}&y={OTHER}"',
        f'{{"next":"/login%3Fx%3D{SECRET}%26y%3D{OTHER}"',
        f'{{"authorization":"Bearer {SECRET}.{OTHER}","code":',
        f'{{"log":"{{\\"Authorization\\":\\"Basic {SECRET}{OTHER}==\\",\\"code\\":2',
        f'{{"log":"{{\\\\\\"cookie\\\\\\": \\\\\\"a={SECRET}; b={OTHER}\\\\\\"',
        f'{{"set-cookie":["a={SECRET}; Path=/","b={OTHER}"]',
        f"authorization: Bearer {SECRET}{OTHER}",
        f"Proxy-Authorization: Negotiate {SECRET}{OTHER}",
        f"x-auth-token={SECRET} x-api-key={OTHER}",
        f"Cookie: a={SECRET}; b={OTHER}\nnext line",
        f'"password": "{SECRET} with words and \\" {OTHER}"',
        f"header Bearer {SECRET}{OTHER} of nobody",
        f"https://user:{SECRET}{OTHER}@host/path",
        f"eyJhbGciOiJI.eyJz{SECRET}.{OTHER}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{OTHER}\n-----END",
        f"'client_secret': '{SECRET}', 'session_id': '{OTHER}'",
        f'user-agent: "{SECRET} {OTHER}"',
        f'"Mozilla/5.0 ({SECRET}) {OTHER}" "-"',
    ],
)
def test_secrets_in_what_cannot_be_read_are_hidden(value: str) -> None:
    """By what stands before them; too much is hidden rather than too little."""
    redacted = Redactor(["day"]).redact_bytes(value.encode())

    assert SECRET.encode() not in redacted
    assert OTHER.encode() not in redacted
    assert b"***" in redacted


def test_secrets_in_binary_forms_are_hidden() -> None:
    """A length stands between the name and the value there."""
    value = b"\x82\xadauthorization\xae" + SECRET.encode() + b"\xa6cookie\xd9\x28" + OTHER.encode()

    redacted = Redactor().redact_bytes(value)

    assert SECRET.encode() not in redacted
    assert OTHER.encode() not in redacted


def test_what_is_no_secret_stays() -> None:
    """Whoever looks into quarantine must see what it was."""
    line = (
        b'[2026-11-22T15:11:42.900Z] "GET /weather?day=1 HTTP/1.1" 200 - via_upstream - "-" 0 100 '
        b'4 3 "-" "curl/8" "46ce024f-97b3-4a45-8f73-2d4ef365608d" "forecast:3002" "10.0.0.7:80"'
    )

    assert Redactor(["day"]).redact_bytes(line) == line


@given(st.binary(max_size=300))
def test_any_bytes_can_be_redacted(value: bytes) -> None:
    """Whatever they are; what was hidden once is hidden for good."""
    redactor = Redactor(forwarded_for="drop")
    once = redactor.redact_bytes(value)

    assert redactor.redact_bytes(once).count(b"***") >= once.count(b"***") * (once != value) // 2


@pytest.mark.parametrize(
    "unit",
    [
        b"?",
        b"%3F",
        b"token",
        b"token=\\",
        b";a",
        b"://",
        b"eyJ",
        b"-----BEGIN ",
        b"1.",
        b'"\\',
        b"Bearer ",
    ],
)
def test_redacting_takes_linear_time(unit: bytes) -> None:
    """Sixteen times as many of what patterns begin with take far less than their square."""

    def took(size: int) -> float:
        value = unit * (size // len(unit))
        begin = time.process_time()
        Redactor(forwarded_for="drop").redact_bytes(value)
        Redactor().redact(value.decode())
        return time.process_time() - begin

    small = min(took(8_192) for _ in range(3))
    assert took(131_072) < 100 * small + 0.1


def test_addresses_and_agents_are_hashed_or_dropped() -> None:
    """Hashes of one value are equal, and the number of addresses stays."""
    hashed = Redactor(forwarded_for="hash", user_agent="hash", secret=b"k")
    dropped = Redactor(forwarded_for="drop", user_agent="drop")
    stored = Redactor(forwarded_for="store", user_agent="store")

    one, other, again = str(hashed.forwarded_for("10.0.0.1, 10.0.0.2,10.0.0.1")).split(",")
    assert one == again != other
    assert one.startswith("h:")
    assert "10.0" not in one
    assert Redactor(forwarded_for="hash", secret=b"l").forwarded_for("10.0.0.1") != one
    assert (hashed.forwarded_for(""), hashed.forwarded_for(None)) == ("", None)
    assert str(hashed.user_agent("curl/8")).startswith("h:")
    assert (dropped.forwarded_for("10.0.0.1"), dropped.user_agent("curl/8")) == (None, None)
    assert (stored.forwarded_for("10.0.0.1"), stored.user_agent("curl/8")) == ("10.0.0.1", "curl/8")
    assert stored.user_agent("") is None
    assert b"10.0.0.7" not in dropped.redact_bytes(b'"10.0.0.7:80" 10.0.0.7')


def test_an_authority_tells_no_password() -> None:
    """Clients may write one into it."""
    assert Redactor().authority(f"u:{SECRET}@host:80") == "***@host:80"
    assert Redactor().authority("host:80") == "host:80"
