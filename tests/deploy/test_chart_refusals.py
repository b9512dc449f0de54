"""The Helm chart: values that contradict themselves, or that nobody knows."""

from __future__ import annotations

from typing import Any

import helm_python
import pytest

from tests.deploy.cases import ALERTS, KEDA, SASL, SETTINGS
from tests.deploy.chart import Manifest, merged, nested, render


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (nested(kafka__bootstrapServers=[]), "/kafka/bootstrapServers"),
        (nested(kafka__bootstrapServers=["kafka"]), "/kafka/bootstrapServers/0"),
        (nested(kafka__bootstrapServers=["http://kafka:9092"]), "/kafka/bootstrapServers/0"),
        (nested(kafka__topics=[]), "/kafka/topics"),
        (nested(kafka__partitions=0), "/kafka/partitions"),
        (nested(kafka__sasl__mechanism="GSSAPI"), "/kafka/sasl/mechanism"),
        (merged(SASL, nested(kafka__sasl__username="")), "/kafka/sasl/username"),
        (merged(SASL, nested(kafka__sasl__existingSecret="")), "/kafka/sasl/existingSecret"),
        (nested(kafka__password="x"), "password"),
        (nested(database__existingSecret=""), "/database/existingSecret"),
        (nested(database__url="postgresql://me:secret@db/x"), "url"),
        (nested(collector__replicas=0), "/collector/replicas"),
        (nested(collector__replica=3), "replica"),
        (nested(verifier__replicas=3), "/verifier/replicas"),
        (nested(api__service__type="ExternalName"), "/api/service/type"),
        (nested(api__ingress={"enabled": True, "host": ""}), "/api/ingress/host"),
        (nested(image__digest="sha256:abc"), "/image/digest"),
        (nested(image__pullPolicy="Sometimes"), "/image/pullPolicy"),
        (nested(policies__files={"notes.txt": "x"}), "/policies/files"),
        (nested(networkPolicy__kafka__to=[{"podSelektor": {}}]), "podSelektor"),
        (nested(networkPolicy__database__ports=[]), "/networkPolicy/database/ports"),
        (nested(collector__terminationGracePeriodSeconds=5), "terminationGracePeriodSeconds"),
        (nested(settings__verifier__window=10), "window"),
        (nested(settings__verifier__window_s=0), "/settings/verifier/window_s"),
        (nested(settings__verifier__window_s="10"), "/settings/verifier/window_s"),
        (nested(settings__verifyer__window_s=10), "verifyer"),
        (nested(settings__kafka__client="librdkafka"), "/settings/kafka/client"),
        (nested(settings__kafka__password="x"), "password"),
        (nested(settings__database__url="postgresql://x"), "url"),
        (nested(settings__log__level="loud"), "/settings/log/level"),
        (nested(alerts__endpoints=[{"name": "a"}]), "/alerts/endpoints/0"),
        (nested(alerts__endpoints=[{"name": "a", "form": "mail"}]), "/alerts/endpoints/0/form"),
        (nested(alerts__endpoints=[{"name": "a", "form": "slack", "secret": "x"}]), "secret"),
        (nested(nameOveride="x"), "nameOveride"),
    ],
)
def test_the_schema_names_what_is_wrong(values: Manifest, field: str) -> None:
    """What is unknown, missing or out of range is refused with its place."""
    with pytest.raises(helm_python.HelmError) as refused:
        render(values)

    assert field in str(refused.value), str(refused.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            nested(collector__replicas=7),
            "collector.replicas: 7 collectors for kafka.partitions = 6",
        ),
        (
            merged(KEDA, nested(collector__autoscaling__maxReplicas=9)),
            "collector.autoscaling.maxReplicas: 9 collectors for kafka.partitions = 6",
        ),
        (
            merged(KEDA, nested(collector__autoscaling__minReplicas=5)),
            "collector.autoscaling.minReplicas: 5 is more than maxReplicas, 4",
        ),
        (
            {"api": {"enabled": False, "ingress": {"enabled": True, "host": "x"}}},
            "api.ingress.enabled",
        ),
        (merged(ALERTS, nested(alerts__existingSecret="")), "alerts.existingSecret"),
    ],
)
def test_what_contradicts_itself_is_said_in_words(values: Manifest, words: str) -> None:
    """What a schema cannot say ends the rendering, with the names of the values."""
    with pytest.raises(helm_python.HelmError) as refused:
        render(values)

    assert words in str(refused.value)


def test_no_secret_value_is_repeated_in_an_error() -> None:
    """A URL that was put where it does not belong is not shown."""
    values: dict[str, Any] = merged(SETTINGS, nested(database__url="postgresql://me:pass@db/x"))

    with pytest.raises(helm_python.HelmError) as refused:
        render(values)

    assert "pass" not in str(refused.value)
