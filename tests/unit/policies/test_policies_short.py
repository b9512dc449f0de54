"""The short form of policies."""

from __future__ import annotations

import pytest

from collector.errors import UsageError
from collector.observation import Destination
from verifier.policies.model import Condition, Mirror, Rules, StringMatch, Weighted

FORECAST = "forecast.weather.svc.cluster.local"

FULL = """
policies:
  - name: weather/forecast-route
    host: forecast.weather
    primary: [{subset: v2, weight: 90}, {host: other.weather, weight: 10}]
    mirror: v1
    mirrors: [{subset: v3, percent: 30}, {host: copy}]
    match: {path_prefix: /weather, methods: [GET, HEAD]}
    rules: {tolerance: 0.001, horizon: 5s, grace: 1.5m, change_grace: 500ms}
    route_name: forecast
    valid_from: 2026-01-01T00:00:00Z
  - host: forecast.weather
"""


def test_all_fields(read):
    """Every field of the short form is read."""
    policy, rest = read(FULL)

    assert policy.name == "weather/forecast-route"
    assert policy.live == (
        Weighted(Destination(FORECAST, "v2"), 90),
        Weighted(Destination("other.weather.svc.cluster.local"), 10),
    )
    assert policy.mirrors == (
        Mirror(Destination(FORECAST, "v1"), 100.0),
        Mirror(Destination(FORECAST, "v3"), 30.0),
        Mirror(Destination("copy.weather.svc.cluster.local"), 100.0),
    )
    prefix = StringMatch("prefix", "/weather")
    assert policy.match == (
        Condition(path=prefix, method=StringMatch("exact", "GET")),
        Condition(path=prefix, method=StringMatch("exact", "HEAD")),
    )
    assert policy.rules == Rules(0.001, 5_000_000, 90_000_000, 500_000)
    assert policy.route_name == "forecast"
    assert policy.valid_from_us == 1_767_225_600_000_000
    assert rest.name == "weather/forecast"
    assert rest.live == (Weighted(Destination(FORECAST), 100),)
    assert rest.earlier == ((policy.name, policy.match),)


def test_two_part_names_are_services_unless_dotted(read):
    """`example.com.` is a DNS name, `forecast.weather` a service."""
    (policy,) = read("policies: [{host: example.com., mirror: {host: copy.weather}}]")

    assert policy.route_hosts == ("example.com",)
    assert policy.mirrors[0].destination.host == "copy.weather.svc.cluster.local"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("host: a, mirrows: []", "policies[0].mirrows: unknown field; did you mean mirrors?"),
        ("host: a, match: {prefix: /}", "match.prefix: unknown field; did you mean path_prefix?"),
        ("host: a, rules: {tolerence: 1}", "rules.tolerence: unknown field; did you mean toler"),
        ("mirror: v1", "policies[0].host: is missing"),
        ("host: a, mirrors: [{subset: v1, percent: 300}]", "percent: must be between 0 and 100"),
        ("host: a, rules: {horizon: 5}", "rules.horizon: must be a duration"),
        ("host: a, rules: {grace: 25h}", "rules.grace: must be a duration up to 24h"),
        ("host: a, rules: {tolerance: 2}", "rules.tolerance: must be between 0 and 1"),
        ("host: a, valid_from: 2026-01-01T00:00:00", "valid_from: must be a time with its zone"),
        ("host: a, valid_from: 2026-01-01", "valid_from: must be a time with its zone"),
        ("host: a, match: {path: /, path_prefix: /}", "has both path and path_prefix"),
        ("host: a, match: {path_regex: '(a+)+'}", "can take too long"),
        ("host: a, name: /x", "name: must be NAME or NAMESPACE/NAME"),
        ("host: a, versions: {v1: {version: 1.0}}", "versions.v1.version: must be text"),
        ("host: a, primary: []", "primary: needs a destination with a weight above 0"),
        ("host: a, primary: 2", "policies[0].primary: must be"),
    ],
)
def test_wrong_fields_are_named(read, fields, message):
    """A wrong field is one line with file, document, field and, when near, the known one."""
    with pytest.raises(UsageError) as caught:
        read(f"policies: [{{{fields}}}]")

    assert message in str(caught.value)
    assert "policy-0.yaml document 1 policies[0]" in str(caught.value)
