"""The settings of whom drift is told, and how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from collector.settings.forms import FileName, Section, Texts, exclusive, read_secret

FormName = Literal[
    "standard-webhooks",
    "alertmanager",
    "alertmanager-webhook",
    "slack",
    "pagerduty",
    "teams",
    "fluentd",
    "stdout",
]
NEEDS_SECRET: Final = ("pagerduty",)
_NAME: Final = r"[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?"


def _name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError("must be lower-case letters, digits and hyphens, 62 at most")
    return text


def _external_url(text: str) -> str:
    if text and not re.match(r"https?://[^\s/]+", text):
        raise ValueError("must be http://… or https://…")
    return text.rstrip("/")


class EndpointSettings(Section):
    """One receiver of alerts."""

    name: Annotated[str, AfterValidator(_name)] = Field(
        description="What it is called; names its state in the database."
    )
    form: FormName = Field(description="What it understands; see the table above.")
    url: SecretStr | None = Field(
        default=None,
        description="Where it is, a secret; several separated by blanks are one endpoint each, "
        "NAME-1, NAME-2 (all instances of an Alertmanager). Fluentd: `fluent://HOST:24224/TAG`.",
    )
    url_file: FileName | None = Field(default=None, description="File with that.")
    secret: SecretStr | None = Field(
        default=None,
        description="Standard Webhooks: signing secret, `whsec_…`; several separated by blanks "
        "all sign, for rotation. PagerDuty: the routing key.",
    )
    secret_file: FileName | None = Field(default=None, description="File with that.")
    authorization: SecretStr | None = Field(
        default=None, description="Value of the header `Authorization`."
    )
    authorization_file: FileName | None = Field(default=None, description="File with that.")
    kinds: Texts = Field(default=(), description="Kinds of incidents that it gets; none: all.")
    policies: Texts = Field(
        default=(), description="Policies whose incidents it gets, as `weather/*`; none: all."
    )
    least_severity: Literal["info", "warning", "critical"] = Field(
        default="info", description="Less severe incidents it does not get."
    )
    allow_http: bool = Field(default=False, description="Send without TLS.")
    allow_private: bool = Field(
        default=False,
        description="Send to private, shared, unique local and loopback addresses, as of a "
        "receiver in the cluster. Never to link-local ones.",
    )
    ca_file: FileName | None = Field(
        default=None, description="Authorities that sign its certificate, PEM. Unset: the system's."
    )
    timeout_s: float = Field(
        default=15.0, gt=0, le=30, description="How long an attempt may take as a whole, seconds."
    )
    concurrency: int = Field(
        default=2, ge=1, le=4, description="Most messages on their way at the same time."
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for name in ("url", "secret", "authorization"):
            exclusive(self, name, f"{name}_file")
        needs_url = self.form not in ("stdout", "pagerduty")
        if needs_url and self.url is None and self.url_file is None:
            raise ValueError(f"form {self.form} needs url or url_file")
        if self.form in NEEDS_SECRET and self.secret is None and self.secret_file is None:
            raise ValueError(f"form {self.form} needs secret or secret_file")
        return self

    def given(self, what: Literal["url", "secret", "authorization"]) -> str | None:
        """A secret of this endpoint; None: not set. Raises UsageError: its file cannot be read."""
        value: SecretStr | None = getattr(self, what)
        file: Path | None = getattr(self, f"{what}_file")
        return read_secret(value, file, f"alerts.endpoints.{self.name}.{what}_file")


def _unique(found: tuple[EndpointSettings, ...]) -> tuple[EndpointSettings, ...]:
    names = [endpoint.name for endpoint in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two endpoints are called {twice[0]}")
    return found


class AlertsSettings(Section):
    """Whom drift is told, and how."""

    endpoints: Annotated[tuple[EndpointSettings, ...], AfterValidator(_unique)] = Field(
        default=(),
        description="Receivers: a JSON array of objects, or `[[alerts.endpoints]]` in the file; "
        "their settings are in the table below.",
    )
    source: str = Field(
        default="", max_length=100, description="Name of this installation in alerts."
    )
    external_url: Annotated[str, AfterValidator(_external_url)] = Field(
        default="", description="Where people reach the web page; alerts link to it."
    )
    poll_s: float = Field(
        default=0.5, gt=0, le=60, description="How often to look for what is to be sent, seconds."
    )
    api_hosts: Texts = Field(
        default=(),
        description="Hosts that endpoints added through the API may have, as `*.example.com`; "
        "none: no endpoint can be added so.",
    )
    key: SecretStr | None = Field(
        default=None,
        description="Seals what the database keeps of endpoints added through the API: 32 bytes "
        "in base64, as of `openssl rand -base64 32`, the same for `serve` and `verify`. Several "
        "separated by blanks: the first seals, all open. Unset: no endpoint can be added so.",
    )
    key_file: FileName | None = Field(default=None, description="File with that.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        exclusive(self, "key", "key_file")
        return self

    def given_key(self) -> str | None:
        """The keys, separated by blanks; None: not set. Raises UsageError: it cannot be read."""
        return read_secret(self.key, self.key_file, "alerts.key_file")
