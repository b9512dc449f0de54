"""The settings of the query API and the page."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from collector.settings.forms import Listen, Section


class ApiSettings(Section):
    """Where the query API answers, and who may ask."""

    listen: Listen = Field(
        default="127.0.0.1:8080",
        description="Where the query API and the page answer, HOST:PORT, or :PORT for all "
        "addresses. Without keys and without oidc_issuer only this machine may ask, and at an "
        "address that others reach nobody may.",
    )
    rate_per_s: float = Field(
        default=50.0,
        gt=0,
        le=100_000,
        description="Requests a second that one caller may make, in the long run.",
    )
    rate_burst: int = Field(
        default=200, ge=1, le=1_000_000, description="Requests that one caller may make at once."
    )
    statement_timeout_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="How long one question may take in the database, seconds (PostgreSQL).",
    )
    oidc_issuer: str = Field(
        default="", description="OpenID Connect provider whose bearer tokens count. Unset: none."
    )
    oidc_audience: str = Field(default="", description="Audience that tokens must name.")
    oidc_jwks_url: str = Field(default="", description="Where the provider's public keys are.")
    oidc_scope_claim: str = Field(
        default="scope", description="Claim that names the scopes: text with blanks, or a list."
    )
    oidc_scope_prefix: str = Field(
        default="mirrorproof:",
        description="What the scopes read, raw and admin are called there begins so.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        given = [self.oidc_issuer, self.oidc_audience, self.oidc_jwks_url]
        if any(given) and not all(given):
            raise ValueError("oidc_issuer, oidc_audience and oidc_jwks_url need each other")
        if self.oidc_jwks_url and not self.oidc_jwks_url.startswith(
            ("https://", "http://127.0.0.1")
        ):
            raise ValueError("oidc_jwks_url must begin with https://")
        return self
