"""Posting to receivers that behave in every way: real servers on the loopback."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from collector.errors import UsageError
from tests.servers.certificates import Certificates, create_certificates
from verifier.alerts.exchange import Reply, Request, Rules
from verifier.alerts.http import MOST_BYTES, post
from verifier.alerts.lines import Interrupted, Lines, SendFailed
from verifier.demo.receiver import Answer, Receiver

OURS = Rules(allow_http=True, allow_private=True, timeout_s=10.0)
SHORT = Rules(allow_http=True, allow_private=True, timeout_s=0.5)
OK_HEAD = b"HTTP/1.1 200 OK\r\n"


def send(url: str, rules: Rules = OURS, lines: Lines | None = None, body: bytes = b"{}") -> Reply:
    """Posts."""
    return post(Request(url=url, body=body), rules, lines or Lines())


def failure(url: str, rules: Rules = OURS) -> str:
    """Why posting failed; never with the address."""
    with pytest.raises(SendFailed) as caught:
        send(url, rules)
    assert "SECRET" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    return str(caught.value)


@contextmanager
def raw(behave: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that does what it wants with each connection; gives its URL."""
    server = socket.create_server(("127.0.0.1", 0))
    open_: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            open_.append(line)
            threading.Thread(target=_quietly, args=(behave, line), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/SECRET"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for line in open_:
            line.close()
        thread.join(5)


def _quietly(behave: Callable[[socket.socket], object], line: socket.socket) -> None:
    with suppress(OSError):
        behave(line)


def trickle(head: bytes) -> Callable[[socket.socket], None]:
    """Says a beginning, then a byte each 20 ms, for ever."""

    def behave(line: socket.socket) -> None:
        line.sendall(head)
        while True:
            line.sendall(b"x")
            time.sleep(0.02)

    return behave


def pour(head: bytes) -> Callable[[socket.socket], None]:
    """Says a beginning, then as much as anybody reads."""

    def behave(line: socket.socket) -> None:
        line.recv(65_536)
        line.sendall(head)
        while True:
            line.sendall(b"x" * 65_536)

    return behave


# --- what is sent


def test_a_post_arrives_as_it_was_made() -> None:
    """Body and headers, and no header that the environment adds."""
    with Receiver() as receiver:
        request = Request(url=receiver.url, body=b'{"a":1}', headers={"webhook-id": "inc_7_1"})
        reply = post(request, OURS, Lines())

    (found,) = receiver.received
    assert (reply.status, reply.body) == (200, b"ok")
    assert found.body == b'{"a":1}'
    assert found.headers["webhook-id"] == "inc_7_1"
    assert found.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would see what is sent, and connect to where we do not."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Receiver() as receiver:
        assert send(receiver.url).status == 200


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """It may lead into our own network."""
    with Receiver() as inner:
        moved = Answer(status=307, headers={"location": inner.url})
        with Receiver(lambda _received: moved) as receiver:
            assert send(receiver.url).status == 307

        assert inner.received == []


def test_retry_after_is_told() -> None:
    """For the schedule."""
    busy = Answer(status=429, headers={"Retry-After": "90"})
    with Receiver(lambda _received: busy) as receiver:
        assert send(receiver.url).retry_after == "90"


# --- where it may go


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]"])
def test_our_own_machine_is_not_called_by_any_name(host: str) -> None:
    """Unless `allow_private` says so."""
    with Receiver() as receiver:
        url = f"http://{host}:{receiver.port}/SECRET"
        said = failure(url, Rules(allow_http=True))

    assert "refused to call a" in said or "host not found" in said
    assert receiver.received == []


def test_the_addresses_of_cloud_credentials_are_never_called() -> None:
    """Whatever is allowed."""
    assert "link-local" in failure("http://169.254.169.254/SECRET", SHORT)


def test_without_tls_nothing_is_sent_unless_told_so() -> None:
    """A body may name paths and ids."""
    with Receiver() as receiver:
        assert "allow_http" in failure(receiver.url, Rules(allow_private=True))

    assert receiver.received == []


def test_a_name_is_looked_up_once_and_the_checked_address_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that means another address the second time leads nowhere else."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *args: object, **kwargs: object) -> object:
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port, type=socket.SOCK_STREAM)

    with Receiver() as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        reply = send(f"http://receiver.example:{receiver.port}/hook")

    assert reply.status == 200
    assert asked == ["receiver.example"]
    assert receiver.received[0].headers["host"] == f"receiver.example:{receiver.port}"


def test_one_private_address_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the order of the answers would decide."""
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))
        for address in ("1.1.1.1", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: answers)

    assert "private address" in failure("https://receiver.example/SECRET", Rules())


# --- receivers that are not there


def test_a_name_that_is_gone_is_said() -> None:
    """Names under .invalid never exist."""
    assert failure("http://receiver.invalid/SECRET").startswith("host not found")


def test_a_resolver_that_hangs_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no time-out of its own."""
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: go_on.wait(30) and [])

    assert failure("http://receiver.example/SECRET", SHORT) == "no answer within 0.5 s"
    go_on.set()


def test_a_closed_port_is_said() -> None:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert failure(f"http://127.0.0.1:{port}/SECRET") == "cannot connect: Connection refused"


# --- receivers that misbehave


@pytest.mark.parametrize(
    "behave",
    [
        lambda line: line.recv(1) and time.sleep(5),
        trickle(b""),
        trickle(b"HTTP/1.1 200 OK\r\nX-A: "),
        trickle(OK_HEAD + b"Content-Length: 1000000\r\n\r\n"),
        trickle(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n"),
    ],
    ids=["silent", "no answer", "header", "body", "chunk"],
)
def test_a_slow_receiver_is_left_at_the_deadline(
    behave: Callable[[socket.socket], None],
) -> None:
    """However it keeps the connection busy: a byte now and then is no answer."""
    with raw(behave) as url:
        said = failure(url, SHORT)

    assert said in ("no answer within 0.5 s", "no HTTP answer")


@pytest.mark.parametrize(
    "head",
    [
        OK_HEAD + b"Content-Length: 1000000000000\r\n\r\n",
        OK_HEAD + b"\r\n",
        OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n3fffffff\r\n",
        OK_HEAD + b"Content-Encoding: gzip\r\n\r\n",
    ],
    ids=["length", "endless", "chunk", "bomb"],
)
def test_of_a_huge_answer_only_the_beginning_is_read(head: bytes) -> None:
    """Nor is it unpacked."""
    with raw(pour(head)) as url:
        reply = send(url)

    assert (reply.status, len(reply.body)) == (200, MOST_BYTES)


def test_endless_headers_are_no_answer() -> None:
    """They are held in memory while they are read, so there is a limit."""
    with raw(pour(OK_HEAD + b"X-A: ")) as url:
        assert failure(url) == "no HTTP answer"


@pytest.mark.parametrize(
    "behave",
    [
        lambda line: line.sendall(b"SSH-2.0-OpenSSH_9.2\r\n") or line.close(),
        lambda line: line.recv(1) and line.close(),
        lambda line: line.recv(65_536) and line.shutdown(socket.SHUT_RDWR),
    ],
    ids=["another protocol", "reset", "closed"],
)
def test_no_answer_at_all_is_said(behave: Callable[[socket.socket], object]) -> None:
    """Who closes with unread data resets the connection, maybe before we read."""
    with raw(behave) as url:
        assert failure(url).startswith(("connection lost", "no HTTP answer"))


def test_an_answer_before_the_body_was_read_counts() -> None:
    """413 comes early, and the connection is closed upon it."""

    def behave(line: socket.socket) -> None:
        line.recv(1_000)
        line.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        line.shutdown(socket.SHUT_WR)
        while line.recv(65_536):
            pass

    with raw(behave) as url:
        assert send(url, body=b"x" * 500_000).status == 413


# --- ending


@pytest.mark.parametrize("step", ["answer", "handshake", "resolver"])
def test_what_is_under_way_is_cut_when_we_end(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it hangs: nothing is known of it then, and the message goes out again."""
    reached, lines, seen = threading.Event(), Lines(), []

    def hang(*_args: object, **_kwargs: object) -> list[object]:
        reached.set()
        time.sleep(3)
        return []

    def behave(line: socket.socket) -> None:
        line.recv(1)
        hang()

    with raw(behave) as url:
        url = url.replace("http", "https") if step == "handshake" else url
        if step == "resolver":
            monkeypatch.setattr(socket, "getaddrinfo", hang)

        def work() -> None:
            try:
                send(url, OURS, lines)
            except Exception as error:
                seen.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert reached.wait(10)
        lines.cut()
        thread.join(2)

    assert [type(error) for error in seen] == [Interrupted]


def test_after_the_end_nothing_is_sent() -> None:
    """Connections that are made later are cut, too."""
    lines = Lines()
    lines.cut()
    with Receiver() as receiver, pytest.raises(Interrupted):
        send(receiver.url, OURS, lines)


# --- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority that only `ca_file` knows."""
    return create_certificates(tmp_path_factory.mktemp("tls"))


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """A server for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    return context


def test_tls_is_verified_by_the_authorities_that_are_named(certificates: Certificates) -> None:
    """The name is what counts, though the address is called."""
    names: list[str | None] = []
    context = server_context(certificates)
    context.sni_callback = lambda _line, name, _context: names.append(name)
    rules = Rules(allow_private=True, ca_file=certificates.authority)
    with Receiver(context=context) as receiver:
        assert send(f"https://localhost:{receiver.port}/hook", rules).status == 200

    assert names == ["localhost"]


def test_a_certificate_of_strangers_is_refused(certificates: Certificates) -> None:
    """The system's authorities do not know it."""
    with Receiver(context=server_context(certificates)) as receiver:
        url = f"https://localhost:{receiver.port}/SECRET"
        assert failure(url, OURS).startswith("TLS: certificate refused")

    assert receiver.received == []


def test_a_certificate_of_another_host_is_refused(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although its authority is known."""
    rules = Rules(allow_private=True, ca_file=certificates.authority)
    real = socket.getaddrinfo
    with Receiver(context=server_context(certificates)) as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: real("127.0.0.1", 0))
        url = f"https://receiver.example:{receiver.port}/SECRET"
        assert failure(url, rules).startswith("TLS: certificate refused")


def test_a_server_without_tls_is_said() -> None:
    """Https to a port of http."""
    with Receiver() as receiver:
        url = receiver.url.replace("http", "https") + "/SECRET"
        assert failure(url).startswith(("TLS: ", "connection lost"))


def test_old_tls_is_refused(certificates: Certificates) -> None:
    """Below 1.2."""
    context = server_context(certificates)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    rules = Rules(allow_private=True, ca_file=certificates.authority)
    with Receiver(context=context) as receiver:
        assert failure(f"https://localhost:{receiver.port}/SECRET", rules).startswith("TLS: ")


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """With the setting."""
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    with pytest.raises(UsageError, match=r"ca_file: cannot read .*ca\.pem"):
        send("https://localhost/", Rules(ca_file=empty))
