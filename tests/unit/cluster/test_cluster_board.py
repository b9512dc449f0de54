"""Lists and events, folded into what there is."""

from tests.cluster_server import destination_rule, virtual_service
from tests.unit.cluster.test_cluster_desired import resource
from verifier.cluster.board import Board, Place, places
from verifier.cluster.pods import PodLife
from verifier.cluster.resources import DESTINATION_RULE, HTTP_ROUTE, POD, VIRTUAL_SERVICE

ALL = {place.kind: place for place in places(())}
ROUTES, RULES, PODS = ALL[VIRTUAL_SERVICE], ALL[DESTINATION_RULE], ALL[POD]
NAME = ("weather", "forecast-route")
ROUTE = resource(virtual_service())


def test_policies_wait_for_what_they_rest_on() -> None:
    """Routes and DestinationRules are listed, or refused for good; others are not waited for."""
    board = Board(ALL.values())
    board.listed(ROUTES, {NAME: ROUTE}, {})
    assert not board.see().ready
    board.trouble(RULES, "forbidden")
    assert not board.see().ready
    board.trouble(RULES, "forbidden", refused=True)
    assert board.see().ready
    assert board.see().troubles == ["forbidden"]


def test_what_was_there_before_lacks_in_a_list() -> None:
    """What the database knew, and what lists and events brought since."""
    board = Board(ALL.values(), {ROUTES: {NAME}})
    assert board.lacking(ROUTES, ()) == [NAME]
    board.put(ROUTES, ("weather", "second"), ROUTE)
    assert board.lacking(ROUTES, {NAME}) == [("weather", "second")]
    board.remove(ROUTES, NAME)
    assert board.lacking(ROUTES, ()) == [("weather", "second")]


def test_an_object_that_breaks_stays_as_it_was() -> None:
    """Until it can be read again, or is deleted; it is named meanwhile."""
    board = Board(ALL.values())
    board.put(ROUTES, NAME, ROUTE)
    board.put(ROUTES, NAME, None, "is not JSON")
    assert board.see().resources == [ROUTE]
    assert board.see().broken == {"VirtualService weather/forecast-route": "is not JSON"}
    board.put(ROUTES, NAME, ROUTE)
    assert not board.see().broken
    board.remove(ROUTES, NAME)
    assert not board.see().resources


def test_pods_that_went_are_remembered_until_they_are_written() -> None:
    """Also those that came and went between two writes."""
    one = PodLife("weather", "forecast-v1-a", "u1", "node-a", (), 1)
    board = Board(ALL.values())
    board.put(PODS, (one.namespace, one.name), one)
    board.remove(PODS, (one.namespace, one.name))
    assert board.see().departed == {"u1": one}
    board.forget(["u1"])
    assert not board.see().departed


def test_each_kind_is_followed_in_each_namespace() -> None:
    """Or everywhere at once."""
    assert len(places(("b", "a"))) == 8
    assert Place(HTTP_ROUTE, "").holds("HTTPRoute", "weather")
    assert not Place(HTTP_ROUTE, "a").holds("HTTPRoute", "weather")
    assert resource(destination_rule()).title == "DestinationRule weather/forecast"
