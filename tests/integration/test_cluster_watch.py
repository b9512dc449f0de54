"""Following an API server over real connections, whatever happens to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from typer.testing import CliRunner

from collector.clock import SystemClock
from collector.errors import Retryable, UsageError
from collector.settings.cluster import ClusterSettings
from tests.cluster_server import (
    ClusterServer,
    Fault,
    destination_rule,
    eventually,
    pod,
    virtual_service,
)
from verifier.cli import app, register_all
from verifier.cluster.api import Busy, Gone, NotAllowed, NotInstalled
from verifier.cluster.api_server import ApiServer
from verifier.cluster.board import Board, Place
from verifier.cluster.reflector import Reflector, Rules
from verifier.cluster.resources import HTTP_ROUTE, POD, VIRTUAL_SERVICE, Name

pytestmark = pytest.mark.integration

ROUTES = Place(VIRTUAL_SERVICE, "")
NAME = ("weather", "forecast-route")


@pytest.fixture
def cluster() -> Iterator[ClusterServer]:
    """An empty cluster."""
    with ClusterServer() as server:
        yield server


class Following:
    """A reflector in a thread, as a context manager."""

    def __init__(
        self,
        cluster: ClusterServer,
        folder: Path,
        place: Place = ROUTES,
        expected: set[Name] | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.board = Board([place], {place: expected or set()})
        self.failures = 0
        server = ApiServer(cluster.settings(folder))
        self.reflector = Reflector(
            server, place, self.board, rules or Rules(), SystemClock(), self._failed
        )
        self._stop = Event()
        self._thread = Thread(target=self.reflector.run, args=(self._stop,))

    def _failed(self, _place: Place) -> None:
        self.failures += 1

    def __enter__(self) -> Following:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.reflector.close()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def names(self) -> list[str]:
        """What is known to be there."""
        return sorted(one.title.partition("/")[2] for one in self.board.see().resources)

    def shows(self, *names: str) -> None:
        """Waits until exactly these are known."""
        eventually(lambda: self.names() == sorted(names))

    def lists(self, cluster: ClusterServer) -> int:
        return sum("watch=true" not in path for path in cluster.asked)


def test_changes_are_followed_from_a_list_in_parts(cluster: ClusterServer, tmp_path: Path) -> None:
    """All parts of a list count, then what is added, changed and deleted."""
    cluster.page = 2
    for number in range(5):
        cluster.put("virtualservices", virtual_service(f"r{number}"))
    with Following(cluster, tmp_path) as following:
        following.shows("r0", "r1", "r2", "r3", "r4")
        assert following.lists(cluster) == 3
        cluster.delete("virtualservices", "weather", "r0")
        cluster.put("virtualservices", virtual_service("new"))
        following.shows("new", "r1", "r2", "r3", "r4")
        assert following.lists(cluster) == 3


def test_a_watch_goes_on_where_it_broke(cluster: ClusterServer, tmp_path: Path) -> None:
    """Half an event is no event; it comes again, without a new list."""
    cluster.put("virtualservices", virtual_service("one"))
    with Following(cluster, tmp_path) as following:
        following.shows("one")
        eventually(lambda: any("watch=true" in path for path in cluster.asked))
        cluster.cut(half=b'{"type": "DELETED", "object": {"metadata": {"name": "one", "names')
        cluster.put("virtualservices", virtual_service("two"))
        following.shows("one", "two")
        cluster.delete("virtualservices", "weather", "one")
        following.shows("two")
        assert following.lists(cluster) == 1


def test_a_version_that_is_too_old_is_listed_again(cluster: ClusterServer, tmp_path: Path) -> None:
    """410 Gone in the stream; what was deleted meanwhile is asked for by its name, then gone."""
    cluster.put("virtualservices", virtual_service("one"))
    cluster.put("virtualservices", virtual_service("two"))
    with Following(cluster, tmp_path) as following:
        following.shows("one", "two")
        cluster.faults = [Fault(503, watch=True, times=2)]
        cluster.cut()
        eventually(lambda: following.failures > 0)
        cluster.delete("virtualservices", "weather", "one")
        cluster.forget()
        following.shows("two")
        assert any(path.endswith("/virtualservices/one") for path in cluster.asked)


def test_a_bookmark_spares_a_new_list(cluster: ClusterServer, tmp_path: Path) -> None:
    """Others' changes age our version; a bookmark carries a newer one."""
    cluster.put("virtualservices", virtual_service("one"))
    with Following(cluster, tmp_path) as following:
        following.shows("one")
        cluster.put("pods", pod("forecast-v1-a", "v1"))
        cluster.bookmark("virtualservices")
        eventually(lambda: following.reflector._since == "103")
        cluster.forget()
        cluster.cut()
        cluster.put("virtualservices", virtual_service("two"))
        following.shows("one", "two")
        assert following.lists(cluster) == 1


def test_an_empty_list_ends_nothing_that_is_there(cluster: ClusterServer, tmp_path: Path) -> None:
    """Each thing that lacks is asked for by its name; the trouble is told until it is over."""
    cluster.put("virtualservices", virtual_service("one"))
    cluster.empty = {"virtualservices"}
    with Following(cluster, tmp_path, expected={("weather", "one")}) as following:
        eventually(lambda: bool(following.board.see().troubles))
        assert "lacks weather/one, which is there" in following.board.see().troubles[0]
        assert not following.board.see().listed
        cluster.empty = set()
        following.shows("one")
        eventually(lambda: not following.board.see().troubles)


def test_an_empty_list_is_true_where_names_are_not_found(
    cluster: ClusterServer, tmp_path: Path
) -> None:
    """The server's own word for each name counts."""
    with Following(cluster, tmp_path, expected={("weather", "gone")}) as following:
        eventually(lambda: following.board.see().listed == [ROUTES])
        assert following.names() == []


def test_a_refusal_is_waited_for(cluster: ClusterServer, tmp_path: Path) -> None:
    """Too many requests, a server that restarts, an expired token: then it goes on."""
    cluster.put("virtualservices", virtual_service("one"))
    cluster.faults = [Fault(429, headers={"Retry-After": "0"}), Fault(503)]
    cluster.token = "second-token"
    with Following(cluster, tmp_path) as following:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        following.shows("one")
        cluster.token = "third-token"
        (tmp_path / "kubeconfig").write_text("")  # and a file that is just being written
        cluster.cut()
        before = following.failures
        eventually(lambda: following.failures >= before + 4)
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        cluster.put("virtualservices", virtual_service("two"))
        following.shows("one", "two")
        assert following.failures >= 3


def test_parts_that_expire_are_asked_for_at_once(cluster: ClusterServer, tmp_path: Path) -> None:
    """A server so slow that its list expires between two parts gives it as a whole."""
    cluster.page, cluster.expire = 1, True
    cluster.put("virtualservices", virtual_service("one"))
    cluster.put("virtualservices", virtual_service("two"))
    with Following(cluster, tmp_path) as following:
        following.shows("one", "two")


def test_pods_that_lack_in_a_list_ended(cluster: ClusterServer, tmp_path: Path) -> None:
    """Pods come and go; only where the list is empty some are asked for."""
    cluster.put("pods", pod("forecast-v1-b", "v1"))
    expected = {("weather", "forecast-v1-a")}
    with Following(cluster, tmp_path, Place(POD, "weather"), expected) as following:
        eventually(lambda: set(following.board.see().pods) == {"uid-of-forecast-v1-b"})
        assert not any("/pods/" in path for path in cluster.asked)


def test_a_selector_is_for_what_has_routes(cluster: ClusterServer, tmp_path: Path) -> None:
    """What is not selected is not read; DestinationRules and pods always are."""
    cluster.put("virtualservices", virtual_service("one", labels={"mirrorproof": "watch"}))
    cluster.put("virtualservices", virtual_service("two"))
    cluster.put("destinationrules", destination_rule())
    with Following(cluster, tmp_path, rules=Rules("mirrorproof=watch")) as following:
        following.shows("one")


def test_what_the_server_says_decides_what_follows(cluster: ClusterServer, tmp_path: Path) -> None:
    """Rights, kinds that are not there, and waiting times are told apart."""
    reflector = Following(cluster, tmp_path).reflector
    cluster.faults = [Fault(403)]
    with pytest.raises(NotAllowed, match="service account needs get, list and watch"):
        reflector.list_all()
    cluster.faults = [Fault(429, headers={"Retry-After": "7"})]
    with pytest.raises(Busy) as busy:
        reflector.list_all()
    assert busy.value.wait_s == 7
    cluster.faults = [Fault(410)]
    with pytest.raises(Gone):
        reflector.list_all()
    cluster.missing = {"httproutes"}
    with pytest.raises(NotInstalled):
        Following(cluster, tmp_path, Place(HTTP_ROUTE, "")).reflector.list_all()
    assert [path for path in cluster.asked if "v1beta1" in path]


def test_a_server_that_is_not_there_is_waited_for(cluster: ClusterServer, tmp_path: Path) -> None:
    """A connection that fails is no reason to end; settings that cannot be used are."""
    settings = cluster.settings(tmp_path)
    (tmp_path / "kubeconfig").write_text(
        (tmp_path / "kubeconfig").read_text().replace("127.0.0.1:", "127.0.0.1:1/")
    )
    board = Board([ROUTES])
    for own, error in (
        (settings, Retryable),
        (ClusterSettings(kubeconfig=tmp_path / "none"), UsageError),
        (ClusterSettings(), UsageError),
    ):
        with pytest.raises(error):
            Reflector(ApiServer(own), ROUTES, board, Rules(), SystemClock()).list_all()


def test_a_command_shows_what_would_be_read(cluster: ClusterServer, tmp_path: Path) -> None:
    """Policies, what cannot be read and why, and how much there is; nothing is written."""
    wrong = virtual_service("wrong")
    wrong["spec"]["http"][0]["mirror"] = "v1"
    cluster.put("virtualservices", virtual_service())
    cluster.put("virtualservices", wrong)
    cluster.put("destinationrules", destination_rule())
    cluster.missing = {"httproutes"}
    cluster.settings(tmp_path)
    register_all()
    command = ["policy", "from-cluster", "--kubeconfig", str(tmp_path / "kubeconfig")]
    shown = CliRunner().invoke(app, [*command, "--json"])
    assert shown.exit_code == 1
    document = json.loads(shown.stdout)
    assert [one["name"] for one in document["policies"]] == ["weather/forecast-route"]
    assert list(document["refused"]) == ["VirtualService weather/wrong"]
    assert document["objects"]["VirtualService"] == 2
    cluster.faults = [Fault(403, "pods")]
    assert "pods of all namespaces" in CliRunner().invoke(app, command).stdout
