"""VirtualServices and DestinationRules as policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import UsageError
from collector.observation import Destination
from verifier.policies.model import Condition, Mirror, StringMatch, Subset, Weighted
from verifier.policies.read import read_policies

SEED = Path(__file__).parents[2] / "data/policies/weather-mirror.yaml"
FORECAST = "forecast.weather.svc.cluster.local"
V1 = Destination(FORECAST, "v1")
V2 = Destination(FORECAST, "v2")
ROUTE = "route: [{destination: {host: forecast, subset: v2}}]"


def test_the_seed_is_one_policy(golden):
    """The seed's VirtualService gives its live destination, its mirror and its subsets."""
    (policy,) = golden("weather-mirror.yaml")

    assert policy.name == "weather/forecast-route"
    assert policy.hosts == (FORECAST,)
    assert policy.route_hosts == (FORECAST,)
    assert policy.live == (Weighted(V2, 100),)
    assert policy.mirrors == (Mirror(V1, 100.0),)
    assert policy.subsets == (
        Subset(FORECAST, "v1", (("version", "v1"),)),
        Subset(FORECAST, "v2", (("version", "v2"),)),
    )
    assert policy.match == ()
    assert policy.source.endswith("weather-mirror.yaml document 1 spec.http[0]")


@pytest.mark.parametrize(
    "name",
    [
        "weather-list.json",
        "weather-kubectl-list.yaml",
        "weather-last-applied.yaml",
        "weather-deprecated.yaml",
        "weather-short.yaml",
    ],
)
def test_every_form_says_the_same(golden, name):
    """All forms of the seed's route are the same policy."""
    (seed,) = golden("weather-mirror.yaml")
    (policy,) = golden(name)

    assert policy.name == seed.name
    assert policy.hosts == seed.hosts
    assert policy.live == seed.live
    assert policy.mirrors == seed.mirrors
    assert set(policy.subsets) == set(seed.subsets)


def test_other_shares(golden):
    """30 %, no mirror, and two mirrors to one destination are read as they are written."""
    assert golden("weather-30.yaml")[0].mirrors == (Mirror(V1, 30.0),)
    assert golden("weather-no-mirror.yaml")[0].mirrors == ()
    assert golden("weather-two-mirrors.yaml")[0].mirrors == (Mirror(V1), Mirror(V1))


def test_several_routes(golden):
    """Each http route is a policy with its conditions, and knows the routes before it."""
    canary, admin, weather, rest = golden("weather-routes.yaml")

    assert [p.name for p in (canary, admin, weather, rest)] == [
        "weather/forecast-routes/canary",
        "weather/forecast-routes/2",
        "weather/forecast-routes/weather",
        "weather/forecast-routes/4",
    ]
    prefix = StringMatch("prefix", "/weather")
    assert canary.match == (Condition(path=prefix, hidden=("headers.x-canary",)),)
    assert canary.hosts == (FORECAST, "api.example.com")
    assert admin.match == (
        Condition(path=StringMatch("exact", "/Health", ignore_case=True)),
        Condition(
            path=StringMatch("regex", "/v[0-9]+/admin/.*"), method=StringMatch("exact", "POST")
        ),
    )
    assert weather.match == (
        Condition(path=prefix, query=(("locate", StringMatch("prefix", "bei")),)),
    )
    assert weather.live == (Weighted(V2, 90), Weighted(Destination(FORECAST, "v3"), 10))
    assert weather.mirrors == (Mirror(V1, 12.3456),)
    assert weather.route_name == "weather"
    shadow = "shadow.other.svc.cluster.local"
    assert rest.mirrors == (Mirror(V1, 50.0), Mirror(Destination(shadow), 100.0))
    assert rest.hosts == (FORECAST, "api.example.com", shadow)
    assert [name for name, _ in rest.earlier] == [canary.name, admin.name, weather.name]
    assert rest.earlier[0][1] == canary.match


@pytest.mark.parametrize(
    ("fields", "percents"),
    [
        ("", [100.0]),
        ("mirrorPercentage: {value: 0}", []),
        ("mirrorPercentage: {}", []),
        ("mirrorPercentage: null", [100.0]),
        ("mirrorPercentage: {value: 0.00009}", []),
        ("mirrorPercentage: {value: 0.00019}", [0.0001]),
        ("mirrorPercent: 25", [25.0]),
        ("mirror_percent: 0", []),
        ("mirrorPercent: 25, mirrorPercentage: {value: 5}", [5.0]),
        ("mirrorPercent: 25, mirrorPercentage: {value: 0}", []),
    ],
)
def test_percentages(read_http, fields, percents):
    """Istio's rules: the new field first, absent means 100, 0 means none, parts of a million."""
    comma = ", " if fields else ""
    (policy,) = read_http(f"[{{{ROUTE}, mirror: {{host: forecast, subset: v1}}{comma}{fields}}}]")

    assert [mirror.percent for mirror in policy.mirrors] == percents


def test_mirror_and_mirrors_are_both_read(read_http):
    """Istio appends `mirrors` to `mirror`; the percentage field belongs to `mirror` alone."""
    (policy,) = read_http(
        f"[{{{ROUTE}, mirror: {{host: a}}, mirrorPercentage: {{value: 1}}, "
        "mirrors: [{destination: {host: b}}, {destination: {host: c}, percentage: {value: 2}}]}]"
    )

    assert [(m.destination.host.split(".")[0], m.percent) for m in policy.mirrors] == [
        ("a", 1.0),
        ("b", 100.0),
        ("c", 2.0),
    ]


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("forecast", FORECAST),
        ("Forecast.weather.", FORECAST),
        ("forecast.weather.svc", FORECAST),
        ("forecast.weather.svc.cluster", FORECAST),
        (FORECAST, FORECAST),
        ("forecast.other", "forecast.other"),
        ("api.example.com", "api.example.com"),
        ("forecast.weather.svc.my.domain", "forecast.weather.svc.my.domain"),
    ],
)
def test_host_names(read_http, host, canonical):
    """Names of a service are qualified by its namespace; other names stay."""
    (policy,) = read_http(f"[{{route: [{{destination: {{host: {host}}}}}]}}]")

    assert policy.live[0].destination.host == canonical


def test_a_route_without_destination_has_nothing_live(read_http):
    """A redirect is a route that forwards nothing."""
    (policy,) = read_http("[{redirect: {uri: /new}}]")

    assert policy.live == ()
    assert policy.mirrors == ()


def test_one_destination_has_all_the_weight(read_http):
    """A single destination gets everything, whatever its weight says."""
    (policy,) = read_http("[{route: [{destination: {host: forecast}, weight: 0}]}]")

    assert policy.live == (Weighted(Destination(FORECAST), 100),)


def test_missing_namespace_is_default(read):
    """A resource without a namespace belongs to `default`."""
    (policy,) = read(
        "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: x}\n"
        f"spec: {{hosts: ['*'], http: [{{{ROUTE}}}]}}"
    )

    assert policy.name == "default/x"
    assert policy.hosts == ("forecast.default.svc.cluster.local",)
    assert policy.route_hosts == ("*",)


def test_rules_and_services_may_be_in_different_files(tmp_path):
    """A DestinationRule of a wildcard serves every host below it."""
    text = (
        "apiVersion: networking.istio.io/v1\nkind: {kind}\n"
        "metadata: {{name: x, namespace: weather}}\nspec: {spec}\n"
    )
    route = "{hosts: [forecast], http: [{" + ROUTE + "}]}"
    rule = "{host: '*.weather.svc.cluster.local', subsets: [{name: v2, labels: {track: b}}]}"
    (tmp_path / "a.yaml").write_text(text.format(kind="VirtualService", spec=route))
    (tmp_path / "b.yml").write_text(text.format(kind="DestinationRule", spec=rule))
    (tmp_path / ".hidden.yaml").write_text("not: [ours")

    (policy,) = read_policies([tmp_path])

    assert policy.subsets == (Subset(FORECAST, "v2", (("track", "b"),)),)


def test_delegates_are_merged(read):
    """Routes of a delegate stand in its place, under the root's conditions and mirror."""
    form = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: NAME}\nspec: "
    )
    root = (
        form.replace("NAME", "root") + "{hosts: [forecast], http: [{match: [{uri: {prefix: /w}}], "
        "mirror: {host: copy}, delegate: {name: inner}}]}"
    )
    inner = (
        form.replace("NAME", "inner")
        + "{http: [{match: [{method: {exact: GET}}], "
        + ROUTE
        + "}, {"
        + ROUTE
        + "}]}"
    )
    first, second = read(root, inner)

    path = StringMatch("prefix", "/w")
    assert first.match == (Condition(path=path, method=StringMatch("exact", "GET")),)
    assert second.match == (Condition(path=path),)
    assert second.mirrors == (Mirror(Destination("copy.default.svc.cluster.local")),)


@pytest.mark.parametrize(
    ("http", "message"),
    [
        ("[{route: [{destination: {host: 7}}]}]", "destination.host: must be text, is '7'; quote"),
        ("[{route: {}}]", "spec.http[0].route: must be a list"),
        ("[{route: [{destination: {}}]}]", "spec.http[0].route[0].destination.host: is missing"),
        ("[{route: [{destination: {host: 'a b'}}]}]", "is no host name"),
        (
            "[{route: [{destination: {host: a}, weight: -1}, {destination: {host: b}}]}]",
            "route[0].weight: must be between 0 and",
        ),
        (
            "[{route: [{destination: {host: a}}, {destination: {host: b}}]}]",
            "the weights add up to 0",
        ),
        ("[{route: [{destination: {host: a}, weight: 1.5}]}]", "weight: must be a whole number"),
        ("[{mirror: {host: a}, mirrorPercentage: {value: 101}}]", "must be between 0 and 100"),
        ("[{mirror: {host: a}, mirrorPercentage: {value: .nan}}]", "value: must be a number"),
        ("[{mirror: {host: a}, mirrorPercentage: 30}]", "mirrorPercentage: must be a mapping"),
        ("[{mirror: {host: a}, mirrorPercent: -1}]", "mirrorPercent: must be between 0 and 100"),
        ("[{match: [{uri: /weather}]}]", "match[0].uri: must be a mapping"),
        ("[{match: [{uri: {glob: /}}]}]", "must have exactly one of exact, prefix and regex"),
        ("[{match: [{uri: {regex: 'a('}}]}]", "uri.regex: is no regular expression of RE2"),
        ("[{match: [{uri: {regex: '(?=a)'}}]}]", "which RE2 does not know"),
        ("[{match: [{port: 70000}]}]", "match[0].port: must be between 1 and 65535"),
        ("[{delegate: {name: nobody}}]", "VirtualService weather/nobody is in none of the"),
    ],
)
def test_wrong_fields_are_named(read_http, http, message):
    """A wrong field is one line with file, document and field."""
    with pytest.raises(UsageError) as caught:
        read_http(http)

    assert message in str(caught.value)
    assert "policy-0.yaml document 1 spec" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_subset_is_refused(read):
    """A subset that the host's DestinationRule does not have is a typing error."""
    text = SEED.read_text().replace("subset: v1", "subset: v3")

    with pytest.raises(UsageError, match=r"http\[0\]\.mirror\.subset: unknown subset 'v3'.*v1, v2"):
        read(text)
