"""Every form is sent and its answer understood: by HTTP, the forward protocol, standard output."""

from __future__ import annotations

import json
import socket
import sys
from datetime import UTC, datetime

import pytest

from tests.alerting import sender
from tests.events import OPENED_US, make_event, resolved
from tests.fluentd import ForwardServer
from verifier.alerts.forms import HTTP_FORMS
from verifier.alerts.outcome import Outcome, Result
from verifier.demo.receiver import Answer, Receiver


def answer_of(form: str) -> Answer:
    """What a receiver of a form says when it took a message."""
    said = {"pagerduty": Answer(status=202, body=b'{"status":"success"}')}
    return said.get(form, Answer())


@pytest.mark.parametrize("form", HTTP_FORMS)
def test_every_form_is_posted_and_its_success_known(form: str) -> None:
    """JSON, once."""
    with Receiver(lambda _received: answer_of(form)) as receiver:
        result = sender(form, receiver.url)(make_event())

    (found,) = receiver.received
    assert result.outcome is Outcome.DELIVERED
    assert found.json
    assert "json" in found.headers["content-type"]


@pytest.mark.parametrize("form", HTTP_FORMS)
def test_every_form_knows_a_failure(form: str) -> None:
    """And says nothing of where it was."""
    with Receiver(lambda _received: Answer(status=503)) as receiver:
        result = sender(form, receiver.url)(make_event())

    assert result == Result(outcome=Outcome.THROTTLED, reason="503 Service Unavailable", status=503)


# --- Fluentd


def test_fluentd_gets_a_copy_with_its_tag_and_time() -> None:
    """By the forward protocol, through fluent-logger."""
    with ForwardServer() as server:
        send = sender("fluentd", f"fluent://127.0.0.1:{server.port}/mesh.alerts")
        results = [send(make_event()), send(resolved())]
        first, second = server.wait_for(2)

    assert [result.outcome for result in results] == [Outcome.DELIVERED] * 2
    assert first.tag == "mesh.alerts"
    assert first.time == datetime.fromtimestamp(OPENED_US / 1e6, UTC)
    assert first.record["summary"] == make_event().summary
    assert {first.record["status"], second.record["status"]} == {"firing", "resolved"}


def test_a_fluentd_that_is_away_is_tried_again_later() -> None:
    """The outbox remembers, not the client's buffer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = sender("fluentd", f"fluent://127.0.0.1:{port}")(make_event())

    assert result.outcome is Outcome.RETRY
    assert result.reason == "cannot send: Connection refused"


def test_a_fluentd_in_our_own_network_needs_permission() -> None:
    """As every other receiver."""
    send = sender("fluentd", "fluent://127.0.0.1:24224", allow_private=False)

    assert "loopback address" in send(make_event()).reason


# --- standard output


def test_standard_output_gets_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For whoever ships it on."""
    result = sender("stdout", None)(make_event(summary="a\nb"))
    (line,) = capsys.readouterr().out.splitlines()

    assert result.outcome is Outcome.DELIVERED
    assert json.loads(line)["summary"] == "a\nb"


def test_a_closed_standard_output_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process goes on."""

    class Closed:
        def write(self, _text: str) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Closed())

    assert sender("stdout", None)(make_event()).reason == "cannot write: Broken pipe"
