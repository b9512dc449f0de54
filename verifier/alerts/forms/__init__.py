"""The forms of alerts: one module for each kind of receiver, pure."""

from __future__ import annotations

from typing import Final

from verifier.alerts.forms import alertmanager, pagerduty, slack, standard, teams
from verifier.alerts.forms.form import Form
from verifier.alerts.repeat import Repeat

HTTP_FORMS: Final[dict[str, Form]] = {
    form.name: form
    for form in (
        standard.FORM,
        alertmanager.FORM,
        alertmanager.WEBHOOK_FORM,
        slack.FORM,
        pagerduty.FORM,
        teams.FORM,
    )
}
"""Of receivers that are called by HTTP, by name."""

REPEATS: Final[dict[str, Repeat]] = {alertmanager.FORM.name: alertmanager.REPEAT}
"""Of forms whose receivers forget."""
