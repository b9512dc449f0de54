"""From the settings of an endpoint to what is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from collector.errors import UsageError
from collector.settings.alerts import EndpointSettings
from collector.settings.environment import load
from verifier.alerts.endpoints import all_of_settings, fluent_address, of_settings

HOOK = "https://hooks.example.com/SECRET"


def own(**given: Any) -> EndpointSettings:
    """The settings of an endpoint."""
    return EndpointSettings.model_validate(
        {"name": "hook", "form": "standard-webhooks", "url": HOOK, **given}
    )


def refused(**given: Any) -> str:
    """Why it cannot be used; never with a secret."""
    with pytest.raises(UsageError) as caught:
        of_settings(own(**given))
    assert "SECRET" not in str(caught.value)
    return str(caught.value)


def test_several_urls_are_several_endpoints() -> None:
    """Each instance has a state of its own."""
    found = of_settings(own(form="alertmanager", url="https://a.example\n https://b.example/x"))

    assert [(one.name, one.address.url) for one in found] == [
        ("hook-1", "https://a.example"),
        ("hook-2", "https://b.example/x"),
    ]


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """As Kubernetes mounts them."""
    for name, text in (("url", HOOK), ("secret", "whsec_" + "A" * 32), ("auth", "Bearer x")):
        (tmp_path / name).write_text(text + "\n")
    (found,) = of_settings(
        own(
            url=None,
            url_file=tmp_path / "url",
            secret_file=tmp_path / "secret",
            authorization_file=tmp_path / "auth",
        )
    )

    assert found.address.url == HOOK
    assert found.address.secrets == ("whsec_" + "A" * 32,)
    assert found.address.authorization == "Bearer x"


def test_pagerduty_has_its_own_url() -> None:
    """Its routing key is what makes the difference."""
    (found,) = of_settings(own(form="pagerduty", url=None, secret="k" * 32))

    assert found.address.url == "https://events.pagerduty.com/v2/enqueue"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "hooks.example.com/SECRET"}, "url is no URL of http or https"),
        ({"url": "https:///SECRET"}, "url is no URL"),
        ({"url": "https://[SECRET"}, "url is no URL"),
        ({"url": "https://a:99999/SECRET"}, "url is no URL"),
        ({"url": "http://hooks.example.com/SECRET"}, "url is without TLS"),
        ({"url": " "}, "url is empty"),
        ({"url": None, "url_file": "/nowhere/url"}, "cannot read /nowhere/url"),
        ({"secret": "whsec_%SECRET%"}, "secret"),
        ({"secret": "whsec_U0VDUkVU"}, "secret has 6 bytes, needs 24"),
        ({"form": "pagerduty", "secret": "SECRET1 SECRET2"}, "one routing key"),
        ({"form": "fluentd", "url": "http://SECRET"}, "fluent://HOST:24224/TAG"),
        ({"kinds": ["leek"]}, "'leek' is none of missing, leak"),
    ],
)
def test_what_would_never_work_is_refused_at_the_start(given: dict[str, Any], said: str) -> None:
    """With the name of the endpoint and the setting, and without what is secret."""
    assert said in refused(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": None}, "needs url or url_file"),
        ({"form": "pagerduty"}, "needs secret or secret_file"),
        ({"url_file": "x"}, "contradict each other"),
        ({"name": "My Hook"}, "lower-case letters"),
        ({"name": "a" * 63}, "62 at most"),
        ({"concurrency": 5}, "less than or equal to 4"),
        ({"timeout_s": 31}, "less than or equal to 30"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], said: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError, match=said) as caught:
        own(**given)
    assert "SECRET" not in str(caught.value)


def test_no_two_endpoints_have_one_name() -> None:
    """Also not by the numbers of several URLs."""
    several = own(name="a", url="https://a.example https://b.example")

    with pytest.raises(UsageError, match="two are called a-2"):
        all_of_settings([several, own(name="a-2")])


def test_the_address_of_a_fluentd_has_defaults() -> None:
    """Its usual port, and a tag of ours."""
    found = fluent_address("fluent://fluentd.logging")

    assert (found.host, found.port, found.tag) == ("fluentd.logging", 24_224, "mirrorproof")
    assert fluent_address("fluent://f:1/a.b").tag == "a.b"


def test_endpoints_come_from_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same either way."""
    file = tmp_path / "m.toml"
    file.write_text('[[alerts.endpoints]]\nname = "a"\nform = "stdout"\nkinds = ["leak"]\n')
    of_file = load(config=file).alerts.endpoints
    variable = '[{"name": "a", "form": "stdout", "kinds": ["leak"]}]'
    monkeypatch.setenv("MIRRORPROOF_ALERTS__ENDPOINTS", variable)

    assert load().alerts.endpoints == of_file


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("SECRET", "setting alerts.endpoints: is no JSON array of objects"),
        ('{"url": "SECRET"}', "setting alerts.endpoints: "),
        ('[{"name": "a", "form": "slack"}]', "form slack needs url or url_file"),
        ('[{"name": "a", "form": "fax"}]', "setting alerts.endpoints.0.form: "),
        ('[{"name": "a", "form": "slack", "ulr": "SECRET"}]', "alerts.endpoints.0.ulr is unknown"),
        (
            '[{"name": "a", "form": "stdout"}, {"name": "a", "form": "stdout"}]',
            "two endpoints are called a",
        ),
    ],
)
def test_a_wrong_variable_is_told_without_its_value(
    monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    """It may hold secrets."""
    monkeypatch.setenv("MIRRORPROOF_ALERTS__ENDPOINTS", value)

    with pytest.raises(UsageError) as caught:
        load()
    assert said in str(caught.value)
    assert "SECRET" not in str(caught.value)
