"""The combinations of values that matter: each renders something that no other does."""

from __future__ import annotations

from typing import Any, Final

from tests.deploy.chart import merged, nested

TLS: Final = nested(kafka__tls={"enabled": True, "ca": {"existingSecret": "kafka-ca"}})
MUTUAL: Final = nested(kafka__tls__client__existingSecret="collector")
SASL: Final = nested(
    kafka__sasl={
        "mechanism": "SCRAM-SHA-512",
        "username": "collector",
        "existingSecret": "collector",
    }
)
KEDA: Final = nested(collector__autoscaling__enabled=True)
FROM_CLUSTER: Final = nested(policies__fromCluster__enabled=True)
ALERTS: Final[dict[str, Any]] = {
    "alerts": {
        "existingSecret": "alert-receivers",
        "endpoints": [
            {"name": "pager", "form": "pagerduty", "secret_key": "pager", "kinds": ["leak"]},
            {"name": "hook", "form": "standard-webhooks", "url_key": "url", "secret_key": "hook"},
            {
                "name": "alertmanager",
                "form": "alertmanager",
                "url": "http://alertmanager-0.monitoring:9093",
                "allow_http": True,
                "allow_private": True,
                "authorization_key": "alertmanager",
                "ca_key": "ca.crt",
                "timeout_s": 2.5,
            },
        ],
    }
}
SEALING: Final = nested(
    alerts__sealing__existingSecret="sealing", settings__alerts__api_hosts=["*.example.com"]
)
OIDC: Final[dict[str, Any]] = {
    "settings": {
        "api": {
            "oidc_issuer": "https://id.example.com",
            "oidc_audience": "mirrorproof",
            "oidc_jwks_url": "https://id.example.com/keys",
        }
    }
}
SETTINGS: Final[dict[str, Any]] = {
    "settings": {
        "kafka": {"client": "confluent", "initial_offset": "latest"},
        "database": {"partition": "hour", "synchronous_commit": False},
        "collector": {
            "keep_query": ["day", "city"],
            "poison_window": 1_000_000,
            "access_log_format": 'text:[%START_TIME%] "%REQ(:METHOD)%" %RESPONSE_CODE%\n'
            'json:{"start_time": "%START_TIME%", "code": "%RESPONSE_CODE%"}',
        },
        "verifier": {"window_s": 5},
        "incidents": {"false_alarms_a_year": 0.000001},
        "alerts": {"source": "prod: eu", "external_url": "https://mirrorproof.example.com"},
        "log": {"level": "debug"},
    }
}
POLICIES: Final[dict[str, Any]] = {
    "policies": {
        "files": {
            "weather.yaml": "policies:\n  - {name: weather/forecast, host: forecast.weather, "
            "primary: v2, mirrors: [{subset: v1}]}\n"
        },
        "existingConfigMaps": ["team-a.policies", "team-b"],
    }
}
MONITORING: Final[dict[str, Any]] = {
    "monitoring": {
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "apiKey": {"existingSecret": "metrics-key"},
        },
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True, "annotations": {"grafana_folder": "Mirroring"}},
    }
}
INGRESS: Final = nested(
    api__ingress={"enabled": True, "host": "mirrorproof.example.com", "className": "nginx"}
)
PODS: Final[dict[str, Any]] = {
    part: {
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "mesh"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system",
        "terminationGracePeriodSeconds": 60,
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
    }
    for part in ("collector", "verifier", "api", "migrate", "doctor")
}
SPREAD: Final = nested(
    collector__topologySpreadConstraints=[
        {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    ]
)
OPEN_SHIFT: Final = nested(
    podSecurityContext={"runAsUser": None, "runAsGroup": None, "fsGroup": None}
)

CASES: Final[dict[str, dict[str, Any]]] = {
    "minimal": {},
    "tls": TLS,
    "tls with the system's authorities": nested(kafka__tls__enabled=True),
    "mutual tls": merged(TLS, MUTUAL),
    "password": SASL,
    "password over tls": merged(TLS, SASL),
    "keda": KEDA,
    "keda over mutual tls": merged(KEDA, TLS, MUTUAL),
    "keda with a password over tls, two topics": merged(
        KEDA, TLS, SASL, nested(kafka__topics=["a", "b"])
    ),
    "database with own authorities": nested(database__ca__existingSecret="db-ca"),
    "policies": POLICIES,
    "policies from the cluster": FROM_CLUSTER,
    "policies from some namespaces": merged(
        FROM_CLUSTER, nested(policies__fromCluster__namespaces=["weather", "shop"])
    ),
    "alerts": ALERTS,
    "alerts by the api": SEALING,
    "settings": SETTINGS,
    "openid connect": OIDC,
    "no api": nested(api__enabled=False),
    "ingress": INGRESS,
    "ingress with tls": merged(INGRESS, nested(api__ingress__tlsSecret="web")),
    "monitoring": MONITORING,
    "monitoring without a key": nested(monitoring__serviceMonitor__enabled=True),
    "no network policies": nested(networkPolicy__enabled=False),
    "no migration": nested(migrate__enabled=False),
    "no doctor": nested(doctor__enabled=False),
    "no budgets": nested(podDisruptionBudgets=False),
    "one of each": nested(collector__replicas=1, verifier__replicas=1, api__replicas=1),
    "image by digest": nested(image__digest="sha256:" + "0f" * 32),
    "image by tag": {"image": {"tag": "1.2.3"}, "imagePullSecrets": [{"name": "registry"}]},
    "service account of another": nested(serviceAccount={"create": False, "name": "given"}),
    "annotated service account": nested(serviceAccount__annotations={"iam": "role"}),
    "pods": PODS,
    "spread": SPREAD,
    "openshift": OPEN_SHIFT,
    "labels": {"commonLabels": {"team": "mesh"}, "extraEnv": [{"name": "TZ", "value": "UTC"}]},
    "names": {"fullnameOverride": "proof-mirrorproof", "nameOverride": "proof"},
    "everything": merged(
        TLS, MUTUAL, SASL, KEDA, POLICIES, FROM_CLUSTER, ALERTS, SEALING, SETTINGS, OIDC, INGRESS,
        MONITORING, PODS,
    ),
}  # fmt: skip
