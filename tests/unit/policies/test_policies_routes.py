"""Which route a request took."""

from __future__ import annotations

import time

import pytest

from verifier.policies.conditions import evaluable
from verifier.policies.model import StringMatch
from verifier.policies.patterns import compile_regex, matcher, shape_of
from verifier.policies.resolve import RouteTable, Unknown

FORECAST = "forecast.weather.svc.cluster.local"


def _name(answer):
    if isinstance(answer, Unknown):
        return [policy.name.rpartition("/")[2] for policy in answer.policies], answer.otherwise
    return answer and answer.name.rpartition("/")[2]


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/health", "2"),
        ("GET", "/Health?x=/v1/admin/x", "2"),
        ("POST", "/v12/admin/users", "2"),
        ("GET", "/v12/admin/users", "4"),
        ("POST", "/v12/admin/users?a#b", "2"),
        ("POST", "/prefix/v12/admin/users", "4"),
        ("GET", "/other", "4"),
        ("GET", "/weather?locate=beijing", (["canary", "weather"], False)),
        ("GET", "/weather?locate=rome", (["canary", "4"], False)),
        ("GET", "/weather", (["canary", "4"], False)),
    ],
)
def test_first_match_wins(golden, method, path, answer):
    """Routes are asked in order; a condition that no line shows leaves both answers open."""
    table = RouteTable(golden("weather-routes.yaml"))

    assert _name(table.route(method, path, FORECAST)) == answer


def test_a_logged_route_name_decides(golden):
    """A policy's route name settles what conditions cannot; `default` and strangers do not."""
    table = RouteTable(golden("weather-routes.yaml"))

    assert _name(table.route("GET", "/weather", FORECAST, "canary")) == "canary"
    assert _name(table.route("GET", "/weather", FORECAST, "weather.beijing")) == "weather"
    assert _name(table.route("GET", "/weather", FORECAST, "default")) == (["canary", "4"], False)
    assert _name(table.route("GET", "/weather", FORECAST, "other")) == (["canary", "4"], False)


def test_one_unconditional_route_takes_all(golden):
    """The seed's route takes every request of its host, and none of another."""
    (policy,) = golden("weather-mirror.yaml")
    table = RouteTable([policy])

    assert table.route("GET", "/", FORECAST) is policy
    assert table.route("GET", "/", "news.weather.svc.cluster.local") is None


def test_no_route_matches(read_http):
    """A request that no condition takes is on no policy's route."""
    table = RouteTable(read_http("[{match: [{uri: {prefix: /api/}}], redirect: {}}]"))

    assert table.route("GET", "/apis", FORECAST) is None


def test_a_hidden_condition_may_take_nothing(read_http):
    """When the only route asks for a header, the request may have taken no route at all."""
    policies = read_http("[{match: [{headers: {a: {exact: b}}}], redirect: {}}]")

    assert RouteTable(policies).route("GET", "/", FORECAST) == Unknown(policies, True)


def test_a_line_can_refute_a_hidden_condition(read_http):
    """The path rules a route out, whatever its header says."""
    policies = read_http(
        "[{match: [{uri: {prefix: /a}, headers: {a: {exact: b}}}], redirect: {}}, {redirect: {}}]"
    )

    assert RouteTable(policies).route("GET", "/b", FORECAST) is policies[1]


def test_port_and_authority(read_http):
    """A port is asked when the line shows one; an authority of every name of the host."""
    http = "[{match: [{port: 80, authority: {%s}}], redirect: {}}]"
    short = RouteTable(read_http(http % "exact: forecast"))
    prefix = RouteTable(read_http(http % "prefix: forecast"))

    assert short.route("GET", "/", FORECAST, authority="forecast", port=80).name
    assert short.route("GET", "/", FORECAST, authority="forecast", port=81) is None
    assert short.route("GET", "/", FORECAST, authority="forecast:80", port=80) is None
    assert isinstance(short.route("GET", "/", FORECAST, port=80), Unknown)
    assert isinstance(prefix.route("GET", "/", FORECAST), Unknown)
    assert prefix.route("GET", "/", FORECAST, port=80).name


def test_match_gateways_are_hidden_unless_they_say_mesh(read_http):
    """A match for a gateway cannot be seen in a line; one for the mesh always holds."""
    mesh, gateway = (
        read_http(f"[{{match: [{{gateways: [{name}]}}], redirect: {{}}}}]")[0]
        for name in ("mesh", "edge")
    )

    assert mesh.match == ()
    assert gateway.match[0].hidden == ("gateways",)


def test_fields_of_the_future_are_hidden(read_http):
    """A match field that we do not know never widens the match in silence."""
    (policy,) = read_http("[{match: [{sourceLabels: {a: b}, newField: 1}], redirect: {}}]")

    assert policy.match[0].hidden == ("sourceLabels", "newField")


def test_wildcard_hosts(read):
    """The very host comes first, then the longest wildcard."""
    form = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
        "metadata: {{name: '{0}'}}\nspec: {{hosts: ['{1}'], http: [{{redirect: {{}}}}]}}"
    )
    hosts = {"all": "*", "below": "*.example.com", "api": "api.example.com"}
    table = RouteTable(read(*(form.format(name, host) for name, host in hosts.items())))

    assert _name(table.route("GET", "/", "api.example.com")) == "api"
    assert _name(table.route("GET", "/", "www.example.com")) == "below"
    assert _name(table.route("GET", "/", FORECAST)) == "all"


def test_two_resources_of_a_host_leave_both_open(read):
    """Which of two VirtualServices a proxy used, no line shows."""
    form = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
        "metadata: {{name: {0}}}\nspec: {{hosts: [a], http: [{{match: "
        "[{{uri: {{prefix: {1}}}}}], redirect: {{}}}}]}}"
    )
    table = RouteTable(read(form.format("one", "/a"), form.format("two", "/a/b")))

    assert _name(table.route("GET", "/a/b", "a.default.svc.cluster.local")) == (
        ["one", "two"],
        False,
    )
    assert _name(table.route("GET", "/a", "a.default.svc.cluster.local")) == "one"


def test_http_route_takes_the_most_specific_match(golden):
    """Gateway API asks the longest prefix first, whatever the order of the rules."""
    first, weather = policies = golden("weather-http-route.yaml")
    table = RouteTable(policies)

    assert weather.name == "weather/forecast-route/weather"
    assert [mirror.percent for mirror in weather.mirrors] == [25.0]
    assert weather.mirrors[0].destination.host == "forecast-v1.weather.svc.cluster.local"
    assert table.route("GET", "/weather/today?x=1", FORECAST) is weather
    assert table.route("GET", "/weathers", FORECAST) is first
    assert table.route("POST", "/weather", FORECAST) is first


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        ("/a/.*", "/a/b", True),
        ("/a", "/ab", False),
        ("(?i)/A", "/a", True),
        (r"/\d+", "/٣", False),
        ("/[[:alpha:]]+", "/abc", True),
        ("/[*+]+x", "/*+x", True),
        ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "46ce024f-97b3-4a45-8f73-2d4ef365608d", True),
    ],
)
def test_patterns_match_as_re2_does(pattern, text, answer):
    """A pattern is matched against the whole text, ASCII classes only."""
    assert matcher(StringMatch("regex", pattern))(text) is answer


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(?<!a)b", "a++", "(?#x)", "[", "a" * 2000])
def test_foreign_patterns_are_refused(pattern):
    """What RE2 does not know is no pattern, even where Python knows it."""
    with pytest.raises(ValueError, match=r"RE2|longer|unterminated"):
        compile_regex(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a|a)*b", "((a?))*b", "(a*){30}b", "a?" * 30 + "a" * 30, ".*a" * 8, "(a|b)" * 30],
)
def test_patterns_without_a_bound_are_not_evaluated(pattern):
    """A pattern that can backtrack for ever is never asked of a stranger's path."""
    assert not shape_of(pattern).bounded
    assert not evaluable(StringMatch("regex", pattern))
    assert matcher(StringMatch("regex", pattern))("a" * 60) is None


def test_a_bounded_pattern_answers_soon():
    """The worst text that is still evaluated costs a fraction of a second."""
    matches = matcher(StringMatch("regex", ".*a.*a.*b"))
    began = time.perf_counter()

    assert matches("a" * 165) is False
    assert matches("a" * 10_000) is None
    assert time.perf_counter() - began < 1
