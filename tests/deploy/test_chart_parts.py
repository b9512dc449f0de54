"""The Helm chart, part by part: what each value does."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import yaml

from collector.service import watchdog
from collector.settings.alerts import EndpointSettings
from tests.deploy.cases import (
    ALERTS,
    FROM_CLUSTER,
    INGRESS,
    KEDA,
    MONITORING,
    MUTUAL,
    OIDC,
    POLICIES,
    SASL,
    SEALING,
    TLS,
)
from tests.deploy.chart import Manifest, environment, kinds, named, nested, notes, pod, render
from tests.deploy.schema import CHART
from verifier import together
from verifier.api import server
from verifier.api.routes import health


def volume(objects: list[Manifest], part: str, name: str) -> Any:
    """A volume of a part's pod."""
    return next(v for v in pod(objects, part)["spec"]["volumes"] if v["name"] == name)


def egress(objects: list[Manifest], part: str) -> set[int]:
    """The ports to which a part may speak."""
    rules = named(objects, "NetworkPolicy", f"-{part}")["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_collectors_speak_to_kafka_as_they_are_told() -> None:
    """Protocol, password and certificates come from the values, secrets from files."""
    plain, whole = render(), render(TLS, MUTUAL, SASL)
    found = environment(whole, "collector")

    assert environment(plain, "collector")["MIRRORPROOF_KAFKA__SECURITY_PROTOCOL"] == "PLAINTEXT"
    assert environment(render(SASL), "collector")["MIRRORPROOF_KAFKA__SECURITY_PROTOCOL"] == (
        "SASL_PLAINTEXT"
    )
    assert found["MIRRORPROOF_KAFKA__SECURITY_PROTOCOL"] == "SASL_SSL"
    assert found["MIRRORPROOF_KAFKA__CERT_FILE"] == "/etc/mirrorproof/kafka/client.crt"
    sources = volume(whole, "collector", "kafka")["projected"]["sources"]
    assert [
        (one["secret"]["name"], item["key"], item["path"])
        for one in sources
        for item in one["secret"]["items"]
    ] == [
        ("collector", "password", "password"),
        ("kafka-ca", "ca.crt", "ca.crt"),
        ("collector", "user.crt", "client.crt"),
        ("collector", "user.key", "client.key"),
    ]


def test_only_collectors_get_kafka_s_secrets_and_only_verifiers_those_of_receivers() -> None:
    """No part holds a secret that it does not need."""
    objects = render(TLS, MUTUAL, SASL, ALERTS, SEALING)
    held = {
        part: {volume["name"] for volume in pod(objects, part)["spec"]["volumes"]}
        for part in ("collector", "verifier", "api", "migrate")
    }

    assert held == {
        "collector": {"tmp", "database", "kafka"},
        "verifier": {"tmp", "database", "alerts", "sealing"},
        "api": {"tmp", "database", "sealing"},
        "migrate": {"tmp", "database"},
    }


def test_never_more_members_of_the_group_than_partitions() -> None:
    """A rollout replaces collectors one by one, and starts none beside them."""
    spec = named(render(), "Deployment", "-collector")["spec"]

    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert spec["replicas"] == 2


def test_verifiers_and_the_api_are_never_all_away() -> None:
    """A rollout starts a new one before it ends an old one."""
    for part in ("verifier", "api"):
        spec = named(render(), "Deployment", f"-{part}")["spec"]
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_parts_leave_within_their_grace() -> None:
    """Each has more time than it takes at most, by its own limits: nobody is killed."""
    objects = render()
    waits_s = pod(objects, "api")["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]
    longest_s = {
        "collector": watchdog._DRAIN_S,
        "verifier": together._JOIN_S,
        "api": waits_s["seconds"] + server._GRACE_S + 2,
    }

    for part, most_s in longest_s.items():
        assert pod(objects, part)["spec"]["terminationGracePeriodSeconds"] >= most_s + 10


def test_probes_ask_what_the_program_answers() -> None:
    """Liveness is the loop's, readiness all that keeps it from its work; both are real paths."""
    objects = render()
    api = {route.path for route in health.router.routes}  # type: ignore[attr-defined]

    for part, port, listen in (
        ("collector", 8081, "MIRRORPROOF_COLLECTOR__HEALTH_LISTEN"),
        ("verifier", 8082, "MIRRORPROOF_VERIFIER__HEALTH_LISTEN"),
        ("api", 8080, "MIRRORPROOF_API__LISTEN"),
    ):
        container = pod(objects, part)["spec"]["containers"][0]
        (opened,) = container["ports"]
        assert (opened["containerPort"], environment(objects, part)[listen]) == (port, f":{port}")
        for probe, path in (("liveness", "/healthz"), ("readiness", "/readyz")):
            asked = container[f"{probe}Probe"]["httpGet"]
            assert asked == {"path": path, "port": opened["name"]}
            assert path in api
        # Waiting for database and brokers, a minute each, is no reason to be restarted.
        startup = container["startupProbe"]
        assert startup["httpGet"]["path"] == "/healthz"
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 120


def test_the_migration_comes_first_and_needs_nothing_of_the_chart() -> None:
    """It is a hook before install and upgrade, with its own network policy before it."""
    objects = render(POLICIES, ALERTS)
    job, policy = (named(objects, kind, "-migrate") for kind in ("Job", "NetworkPolicy"))

    hooks = [one["metadata"]["annotations"] for one in (policy, job)]
    assert {one["helm.sh/hook"] for one in hooks} == {"pre-install,pre-upgrade"}
    assert int(hooks[0]["helm.sh/hook-weight"]) < int(hooks[1]["helm.sh/hook-weight"])
    spec = job["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "default"
    assert "envFrom" not in spec["containers"][0]
    assert spec["restartPolicy"] == "Never"
    others = {one["metadata"]["name"] for one in objects if one not in (job, policy)}
    named_there = json.dumps(spec)
    assert [name for name in others if f'"{name}' in named_there] == []


def test_the_doctor_sees_what_it_looks_at() -> None:
    """`helm test` may reach brokers, database, receivers and identity provider."""
    objects = render(TLS, MUTUAL, SASL, ALERTS, OIDC)
    job = named(objects, "Job", "-doctor")

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert egress(objects, "doctor") == {53, 5432, 9092, 443}
    held = {one["name"] for one in pod(objects, "doctor")["spec"]["volumes"]}
    assert held == {"tmp", "database", "kafka", "alerts"}


def test_nothing_may_be_reached_but_what_is_needed() -> None:
    """All is denied to all pods; each part may speak to what it works with."""
    objects = render(nested(kafka__bootstrapServers=["a:9093", "b:9094", "c:9093"]))
    deny = named(objects, "NetworkPolicy", "-default-deny")["spec"]

    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(deny)
    for part in ("collector", "verifier", "api", "migrate"):
        assert deny["podSelector"]["matchLabels"].items() <= (
            pod(objects, part)["metadata"]["labels"].items()
        )
    assert {p: egress(objects, p) for p in ("collector", "verifier", "api", "migrate")} == {
        "collector": {53, 5432, 9093, 9094},
        "verifier": {53, 5432},
        "api": {53, 5432},
        "migrate": {53, 5432},
    }


def test_more_may_be_reached_where_values_need_it() -> None:
    """Receivers, the identity provider and the API server are reached by whoever asks them."""
    assert egress(render(ALERTS), "verifier") == {53, 5432, 443}
    for part in ("verifier", "api"):
        assert egress(render(SEALING), part) == {53, 5432, 443}
    assert egress(render(OIDC), "api") == {53, 5432, 443}
    assert egress(render(FROM_CLUSTER), "verifier") == {53, 5432, 443, 6443}


def test_peers_of_network_policies_can_be_named() -> None:
    """What is reached at a port is anywhere, unless the values say where."""
    peer = {"podSelector": {"matchLabels": {"app": "pg"}}}
    objects = render(nested(networkPolicy__database={"to": [peer], "ports": [6432]}))
    rules = named(objects, "NetworkPolicy", "-verifier")["spec"]["egress"]

    assert {"to": [peer], "ports": [{"port": 6432, "protocol": "TCP"}]} in rules


def test_name_servers_can_be_elsewhere() -> None:
    """OpenShift's are in another namespace, at another port."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}
    objects = render(nested(networkPolicy__dns={"to": [peer], "ports": [5353]}))
    (rule, *_) = named(objects, "NetworkPolicy", "-migrate")["spec"]["egress"]

    assert rule["to"] == [peer]
    assert [(one["port"], one["protocol"]) for one in rule["ports"]] == [
        *((5353, "UDP"), (5353, "TCP"))
    ]


def test_who_comes_in_is_named() -> None:
    """Prometheus reads metrics; the API answers this namespace only, unless told otherwise."""
    gate = {"namespaceSelector": {"matchLabels": {"name": "ingress"}}}
    objects = render(nested(networkPolicy__apiFrom=[gate]))

    def ingress(found: list[Manifest], part: str) -> list[Any]:
        rules: list[Any] = named(found, "NetworkPolicy", f"-{part}")["spec"]["ingress"]
        return rules

    assert ingress(render(), "api") == [
        {"from": [{"podSelector": {}}], "ports": [{"port": "http", "protocol": "TCP"}]}
    ]
    assert ingress(objects, "api")[0]["from"] == [gate]
    assert ingress(objects, "collector") == [
        {"from": [{"namespaceSelector": {}}], "ports": [{"port": "health", "protocol": "TCP"}]}
    ]
    assert len(ingress(render(MONITORING), "api")) == 2


def test_rights_in_the_cluster_are_those_of_reading_policies() -> None:
    """Without reading policies there are none; with it, those that the runbook lists."""
    assert not {"Role", "ClusterRole"} & kinds(render())
    objects = render(FROM_CLUSTER)
    (role,) = [one for one in objects if one["kind"] == "ClusterRole"]
    (binding,) = [one for one in objects if one["kind"] == "ClusterRoleBinding"]

    text = (CHART.parent / "README.md").read_text().partition("## Rights in the cluster")[2]
    assert role["rules"] == yaml.safe_load(text.split("```")[1].removeprefix("yaml"))["rules"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    without = render(FROM_CLUSTER, nested(settings__cluster__pods=False))
    assert "pods" not in json.dumps([one for one in without if one["kind"] == "ClusterRole"])
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["name"] == pod(objects, "verifier")["spec"]["serviceAccountName"]


def test_rights_may_be_those_of_some_namespaces() -> None:
    """Then there is a role in each of them, and none for the cluster."""
    objects = render(FROM_CLUSTER, nested(policies__fromCluster__namespaces=["weather", "shop"]))
    roles = [one for one in objects if one["kind"] in ("Role", "RoleBinding")]

    assert "ClusterRole" not in kinds(objects)
    assert environment(objects, "verifier")["MIRRORPROOF_CLUSTER__NAMESPACES"] == "weather,shop"
    assert [one["metadata"]["namespace"] for one in roles] == ["weather"] * 2 + ["shop"] * 2
    assert {one["subjects"][0]["namespace"] for one in roles if "subjects" in one} == {
        "mirrorproof"
    }


def test_policies_are_folders_that_collectors_and_verifiers_watch() -> None:
    """The chart's own files, and each ConfigMap that is named, whole."""
    objects = render(POLICIES)

    for part in ("collector", "verifier"):
        arguments = pod(objects, part)["spec"]["containers"][0]["args"]
        assert arguments[2::2] == [
            f"/etc/mirrorproof/policies/{name}" for name in ("chart", "team-a.policies", "team-b")
        ]
    assert volume(objects, "verifier", "policies-1")["configMap"]["name"] == "team-b"
    assert named(objects, "ConfigMap", "-policies")["data"] == POLICIES["policies"]["files"]


def test_endpoints_of_alerts_are_those_of_the_program() -> None:
    """Keys of the Secret become files; all else is handed on as it is."""
    text = environment(render(ALERTS), "verifier")["MIRRORPROOF_ALERTS__ENDPOINTS"]
    pager, hook, alertmanager = (EndpointSettings(**one) for one in json.loads(text))

    assert (pager.form, pager.kinds) == ("pagerduty", ("leak",))
    assert str(pager.secret_file) == "/etc/mirrorproof/alerts/pager"
    assert str(hook.url_file) == "/etc/mirrorproof/alerts/url"
    assert alertmanager.url is not None
    assert alertmanager.url.get_secret_value() == "http://alertmanager-0.monitoring:9093"
    assert (alertmanager.allow_private, alertmanager.timeout_s) == (True, 2.5)
    assert str(alertmanager.ca_file) == "/etc/mirrorproof/alerts/ca.crt"


def test_keda_scales_by_the_lag_of_our_group() -> None:
    """One trigger a topic, never to none, and no number of replicas that would contradict it."""
    objects = render(KEDA, nested(kafka__topics=["a", "b"]))
    spec = named(objects, "ScaledObject", "-collector")["spec"]

    assert "replicas" not in named(objects, "Deployment", "-collector")["spec"]
    assert [one["metadata"]["topic"] for one in spec["triggers"]] == ["a", "b"]
    assert spec["triggers"][0]["metadata"]["consumerGroup"] == "mirrorproof"
    assert spec["triggers"][0]["metadata"]["lagThreshold"] == "20000"
    assert spec["minReplicaCount"] == 1
    assert "TriggerAuthentication" not in kinds(objects)


def test_keda_authenticates_as_collectors_do() -> None:
    """From the same Secrets, and with the user of the pods."""
    objects = render(KEDA, TLS, MUTUAL, SASL)
    trigger = named(objects, "ScaledObject", "-collector")["spec"]["triggers"][0]
    spec = named(objects, "TriggerAuthentication", "-collector")["spec"]

    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha512", "enable")
    assert [one["parameter"] for one in spec["secretTargetRef"]] == [
        "password",
        "ca",
        "cert",
        "key",
    ]
    (user,) = spec["env"]
    assert environment(objects, user["containerName"])[user["name"]] == "collector"


def test_prometheus_finds_every_part() -> None:
    """The Services that the monitors select have the ports that they read."""
    objects = render(MONITORING)
    services = [one for one in objects if one["kind"] == "Service"]

    for monitor in (one for one in objects if one["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [one for one in services if wanted <= one["metadata"]["labels"].items()]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
    for part in ("collector", "verifier"):
        labels = pod(objects, part)["metadata"]["labels"].items()
        assert named(objects, "Service", "-metrics")["spec"]["selector"].items() <= labels


def test_rules_and_dashboard_are_the_files() -> None:
    """The chart hands on what is in its folder, unchanged."""
    objects = render(MONITORING)
    rules = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    dashboard = named(objects, "ConfigMap", "-dashboard")

    assert named(objects, "PrometheusRule", "")["spec"] == rules
    assert json.loads(dashboard["data"]["mirrorproof.json"]) == json.loads(
        (CHART / "files" / "dashboard.json").read_text()
    )
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_pods_are_what_the_image_is_made_for() -> None:
    """Version, user, ports and program are those of the package and of the Dockerfile."""
    docker = (CHART.parent / "Dockerfile").read_text()
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]
    spec = pod(render(), "collector")["spec"]
    heartbeat = (CHART.parent / "shippers" / "heartbeat.yaml").read_text()
    own = spec["securityContext"]

    assert spec["containers"][0]["image"] == f"mirrorproof:{project['version']}"
    assert f"image: mirrorproof:{project['version']}\n" in heartbeat
    assert f"USER {own['runAsUser']}:{own['runAsGroup']}\n" in docker
    assert f"runAsUser: {own['runAsUser']}\n" in heartbeat
    assert 'ENTRYPOINT ["mirrorproof"]' in docker
    assert "command" not in spec["containers"][0]


def test_the_image_is_that_of_the_digest_where_there_is_one() -> None:
    """Digest before tag before the program's version."""
    digest = "sha256:" + "0f" * 32

    def image(**values: str) -> str:
        found = pod(render({"image": values}), "api")["spec"]["containers"][0]["image"]
        return str(found)

    assert image() == "mirrorproof:0.1.0"
    assert image(tag="1.2.3") == "mirrorproof:1.2.3"
    assert image(tag="1.2.3", digest=digest, repository="r.example.com/m") == (
        f"r.example.com/m@{digest}"
    )


def test_the_api_can_be_reached_from_outside() -> None:
    """An Ingress leads to its Service, with TLS where a certificate is named."""
    objects = render(INGRESS, nested(api__ingress__tlsSecret="web"))
    spec = named(objects, "Ingress", "-api")["spec"]

    backend = spec["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "proof-mirrorproof-api", "port": {"name": "http"}}
    assert spec["tls"] == [{"secretName": "web", "hosts": ["mirrorproof.example.com"]}]
    assert named(objects, "Service", "-api")["spec"]["ports"][0]["name"] == "http"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "mirrorproof key create"),
        ({}, "There is no policy yet"),
        ({}, "Nobody is told of drift"),
    ],
)
def test_notes_say_what_is_left_to_do(values: dict[str, Any], words: str) -> None:
    """Who installs is told of the first key, of policies and of receivers, until they are there."""
    done = notes(POLICIES, ALERTS, OIDC)

    assert words in notes(values)
    assert words not in done
