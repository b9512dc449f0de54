"""The demo from beginning to end: traffic, faults, verdicts, comparison, and nothing left over."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.errors import UsageError
from verifier.demo.advice import next_steps
from verifier.demo.comparison import agree, compare, tell_delays
from verifier.demo.database import demo_database
from verifier.demo.interrupts import Interrupts
from verifier.demo.logfile import log_to_file
from verifier.demo.news import news
from verifier.demo.phases import CYCLE_S, phase_at
from verifier.demo.pipeline import (
    ALLOWANCE_S,
    GRACE_S,
    POLL_S,
    WINDOW_S,
    Pipeline,
    local_alerts,
)
from verifier.demo.receiver import Receiver
from verifier.demo.screen import Screen, draw_comparison
from verifier.demo.servers import Servers
from verifier.demo.stage import Stage, open_stage
from verifier.demo.view import Progress, View

EXIT_AGREED: Final = 0
EXIT_DIFFERS: Final = 1

_TICK_S: Final = 0.5
_MARGIN_S: Final = 2.0  # the verifier's tick, and ending all processes
_SETTLE_S: Final = WINDOW_S + GRACE_S + ALLOWANCE_S + _MARGIN_S
"""What the last request needs to be settled: this long before its end the demo stops to send."""
_SETTLE_LIMIT_S: Final = 60.0
"""How long the end waits for the verifier: a machine that is busy with other work is slower."""
_LATE_S: Final = 5.0
SHORTEST_S: Final = 20.0
"""With less time there would be no traffic to speak of in each phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the user chose.

    Attributes:
        exit_after_s: When the demo ends by itself, in seconds; None: when it is interrupted.
        bootstrap: A Kafka broker that is there, `HOST:PORT`; None: the embedded one.
        database_url: A database that is there; None: SQLite in the demo's folder.
        rate: Calls a second.
        keep: Folder that gets logs, policy and database, and stays; None: a temporary one.
    """

    exit_after_s: float | None = None
    bootstrap: str | None = None
    database_url: str | None = None
    rate: float = 60.0
    keep: Path | None = None


def run_demo(options: DemoOptions, screen: Screen) -> int:
    """Runs the demo and returns its exit status: 0 when both sides agree, else 1.

    Raises:
        MirrorproofError: Something could not be started, or broke.
        SystemExit: A signal ended it.
    """
    if options.exit_after_s is not None and options.exit_after_s < SHORTEST_S:
        message = f"--exit-after {options.exit_after_s:g} is too short; {SHORTEST_S:g} s at least"
        raise UsageError(message)
    begun_s = time.monotonic()
    with Interrupts() as interrupts, ExitStack() as stack:
        servers = stack.enter_context(Servers(options.keep))
        log_to_file(servers.folder / "mirrorproof.log")
        stack.callback(screen.close)
        url = stack.enter_context(
            demo_database(options.database_url, servers.folder, keep=options.keep is not None)
        )
        screen.say("Starting five Envoy proxies, four applications, a broker and mirrorproof …")
        stage = stack.enter_context(open_stage(servers, options.bootstrap, options.rate))
        receiver = stack.enter_context(Receiver())
        pipeline = Pipeline(stage.kafka, url, servers.folder, local_alerts(receiver.url))
        stack.callback(pipeline.stop)
        pipeline.start()
        show = _Show(options, stage, pipeline, receiver, screen, interrupts, begun_s)
        show.introduce()
        show.play()
        settled = show.settle()
        screen.close()
        status = show.conclude(settled=settled)
        request_id = pipeline.reader.missing_request_id()
        for line in next_steps(options.keep, kept_url(options), request_id):
            screen.say(line)
    return status


class _Show:
    """The running demo."""

    def __init__(
        self,
        options: DemoOptions,
        stage: Stage,
        pipeline: Pipeline,
        receiver: Receiver,
        screen: Screen,
        interrupts: Interrupts,
        begun_s: float,
    ) -> None:
        self._options = options
        self._stage = stage
        self._pipeline = pipeline
        self._receiver = receiver
        self._told = 0
        self._screen = screen
        self._interrupts = interrupts
        self._end_s: float | None = None
        self._round_s = CYCLE_S
        self._traffic_s = time.monotonic()
        if options.exit_after_s is not None:
            self._end_s = begun_s + options.exit_after_s - _SETTLE_S
            self._round_s = max(1.0, self._end_s - self._traffic_s)

    def introduce(self) -> None:
        """Says what is to be seen."""
        kafka = ",".join(self._stage.kafka.bootstrap_servers)
        for line in (
            "frontend ─▶ forecast v2 (live, 2 pods)  and a copy of every request ─▶ v1 (2 pods)",
            f"proxies' logs ─▶ shipper ─▶ Kafka {kafka} ─▶ collector ─▶ database ─▶ verifier",
            f"Windows of {WINDOW_S:g} s settle {GRACE_S:g} s after their end. "
            "Ctrl-C ends it; once more: at once.",
            f"The web page, while it runs: {self._pipeline.page_url}",
            "",
        ):
            self._screen.say(line)

    def play(self) -> None:
        """Drives traffic through all phases, until it is time or the user interrupts."""
        self._stage.traffic.start()
        while not self._interrupts.requested.wait(_TICK_S):
            now_s = time.monotonic()
            if self._end_s is not None and now_s >= self._end_s:
                break
            phase = phase_at(now_s - self._traffic_s, self._round_s)
            self._stage.mesh.set_route(phase.route)
            self._show(phase.name)
        self._stage.traffic.stop()

    def settle(self) -> bool:
        """Waits until everything up to the last request is settled; False: it took too long.

        Lines that were late correct what was settled before them: figures that differ get a
        moment to be corrected.
        """
        last_us = time.time_ns() // 1000
        deadline_s = time.monotonic() + _SETTLE_LIMIT_S
        while True:
            progress = self._show("traffic stopped; the last windows settle")
            settled = progress.covers(last_us)
            if settled:
                deadline_s = min(deadline_s, time.monotonic() + _LATE_S)
            agreed = settled and agree(compare(self._stage.ledger.total(), progress.verdicts))
            if agreed or time.monotonic() > deadline_s:
                return settled
            time.sleep(_TICK_S)

    def conclude(self, *, settled: bool) -> int:
        """Prints both sides' figures and returns the exit status."""
        rows = compare(self._stage.ledger.total(), self._pipeline.reader.read().verdicts)
        for line in ("", "What the applications counted, and what the verifier said of it:", ""):
            self._screen.say(line)
        for line in draw_comparison(rows):
            self._screen.say(line)
        self._screen.say("")
        delays_s = self._pipeline.reader.delays_s()
        # What a line may take to Kafka counts as grace: the watermark is so far behind.
        delays = tell_delays(delays_s, WINDOW_S, GRACE_S + ALLOWANCE_S, POLL_S)
        if delays:
            self._screen.say(delays)
        if agree(rows):
            self._screen.say("The figures are equal: the verifier told the truth.")
            return EXIT_AGREED
        if not settled:
            self._screen.say(f"The verifier had not settled everything in {_SETTLE_LIMIT_S:g} s.")
        self._screen.say("THE FIGURES DIFFER: this is a bug of mirrorproof; please report it.")
        return EXIT_DIFFERS

    def _show(self, phase: str) -> Progress:
        self._stage.check()
        self._pipeline.check()
        progress = self._pipeline.reader.read()
        self._tell_news()
        now_s = time.monotonic()
        self._screen.show(
            View(
                phase=phase,
                elapsed_s=now_s - self._traffic_s,
                round_s=self._round_s,
                truth=self._stage.ledger.total(),
                progress=progress,
                now_us=time.time_ns() // 1000,
            )
        )
        return progress

    def _tell_news(self) -> None:
        """Shows what the receiver of alerts was told since."""
        lines = news(self._receiver.received)
        for line in lines[self._told :]:
            self._screen.say(f"  webhook received  {line}")
        self._told = len(lines)


def kept_url(options: DemoOptions) -> str | None:
    """The database that the user named and that is still there at the end; None: there is none."""
    given = options.database_url
    return given if given is not None and given.startswith("sqlite") else None
