"""Lines that are no request or arrival of their own: of running streams, of redirected hops."""

from __future__ import annotations

import itertools

from collector.traits import Trait
from tests.factories import arrival, attempt, client, leaking, shadow, terms
from tests.unit.pairing.verdicts import only, verdicts
from verifier.pairing.lines import Line, Reason, Verdict


def running(line: Line) -> Line:
    """A line as the proxy writes it while the stream still runs."""
    line.code = 0
    line.traits |= Trait.PARTIAL | Trait.ABANDONED | Trait.FAILED
    return line


class TestRunningStreams:
    """With `access_log_options`, a proxy writes lines of a stream before its end."""

    def test_lines_of_a_running_stream_are_none_of_their_own(self) -> None:
        """Started, still running, ended: one request and one copy, in any order."""
        lines = [
            running(attempt(lasts=0)),
            running(attempt(lasts=200)),
            attempt(lasts=300),
            running(shadow(lasts=0)),
            shadow(lasts=300),
        ]

        for order in itertools.permutations(lines):
            assert verdicts(list(order)) == {"matched": 1}

    def test_a_missing_copy_is_missed_all_the_same(self) -> None:
        """The primary's first line, of code 0, is no abandoned request."""
        assert verdicts([running(attempt(lasts=0)), attempt(lasts=300)]) == {"missing": 1}

    def test_a_copy_that_still_runs_has_arrived(self) -> None:
        """Its end is not logged yet."""
        lines = [client(), attempt(), running(shadow(lasts=0)), running(shadow(lasts=200))]

        assert verdicts(lines) == {"matched": 1}

    def test_a_request_that_still_runs_owes_nothing_yet(self) -> None:
        """It may be abandoned; its last line tells."""
        assert verdicts([running(attempt(lasts=0)), running(attempt(lasts=200))]) == {"exempt": 1}

    def test_two_streams_of_one_key_stay_two(self) -> None:
        """They started at different times, or on different pods."""
        lines = [
            *(running(attempt(pod=pod, lasts=0)) for pod in (2, 4)),
            *(attempt(pod=pod, lasts=90) for pod in (2, 4)),
            shadow(),
        ]

        assert verdicts(lines) == {"matched": 1, "missing": 1}


class TestRedirectedHops:
    """A sender that follows redirects itself logs each hop with the path of the next one."""

    def test_the_hop_before_is_no_request_of_this_path(self) -> None:
        """It was copied under its own path."""
        hop = client(code=302, traits=Trait.REDIRECTED)

        assert verdicts([hop, client(at=3), attempt(at=4), arrival(at=4, xff=1)]) == {"matched": 1}

    def test_a_hop_alone_says_nothing(self) -> None:
        """What came of it is in other lines."""
        assert verdicts([client(code=302, traits=Trait.REDIRECTED)]) == {}


class TestPastTheProxies:
    """In a mesh with mutual TLS, a request without it was sent by no proxy."""

    def test_with_the_senders_logs_it_is_exempt(self) -> None:
        """It was not on the route."""
        lines = [attempt(traits=Trait.PLAIN)]

        assert verdicts(lines, terms(tls=True, senders_logged=True)) == {"exempt": 1}

    def test_without_them_it_is_unverifiable(self) -> None:
        """A sender may have left TLS out."""
        found = only([attempt(traits=Trait.PLAIN)], terms(tls=True))

        assert (found.verdict, found.reason) == (Verdict.UNVERIFIABLE, Reason.PAST_PROXIES)

    def test_a_copied_one_is_matched(self) -> None:
        """So it was on the route after all."""
        lines = [attempt(traits=Trait.PLAIN), shadow()]

        assert verdicts(lines, terms(tls=True)) == {"matched": 1}

    def test_a_senders_line_puts_it_on_the_route(self) -> None:
        """Then its copy is missing."""
        lines = [client(), attempt(traits=Trait.PLAIN)]

        assert verdicts(lines, terms(tls=True, senders_logged=True)) == {"missing": 1}

    def test_a_mesh_without_tls_tells_nothing(self) -> None:
        """All its lines look so."""
        lines = [attempt(traits=Trait.PLAIN)]

        assert verdicts(lines, terms(senders_logged=True)) == {"missing": 1}

    def test_at_the_mirror_it_is_a_leak(self) -> None:
        """Nobody may call the version under test."""
        lines = [leaking(), arrival(xff=0, traits=Trait.PLAIN)]

        assert verdicts(lines, terms(tls=True, senders_logged=True)) == {"leak": 1}
