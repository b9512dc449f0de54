from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from verifier.demo import screen as screen_module
from verifier.demo.comparison import compare
from verifier.demo.ledger import Truth
from verifier.demo.screen import (
    LiveScreen,
    PlainScreen,
    clock_time,
    draw_comparison,
    draw_progress,
    draw_windows,
    open_screen,
)
from verifier.demo.view import Progress, View, WindowRow

START_US = 1_795_360_302_000_000
PROVEN = WindowRow(start_us=START_US, statement="proven", verdicts={"matched": 120})
VIOLATED = WindowRow(
    start_us=START_US + 2_000_000,
    statement="violated",
    verdicts={"matched": 100, "missing": 15, "unverifiable": 5, "leak": 3},
)


def view(phase: str = "mirrored", *windows: WindowRow) -> View:
    """A picture of a demo that began 12 s ago."""
    progress = Progress(
        windows=windows,
        verdicts={"matched": 220, "missing": 15, "unverifiable": 5, "leak": 3},
        watermark_us=START_US + 8_000_000,
    )
    return View(
        phase=phase,
        elapsed_s=12.0,
        round_s=60.0,
        truth=Truth(calls=700, requests=690, mirrored=675, missing=15, leaked=10),
        progress=progress,
        now_us=START_US + 9_500_000,
    )


def drawn(*renderables: object) -> str:
    """What a terminal of 120 columns shows."""
    console = Console(width=120, force_terminal=False, no_color=True)
    with console.capture() as captured:
        console.print(*renderables)
    return captured.get()


def test_plain_lines_show_each_window_and_phase_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal the state does not repeat."""
    plain = PlainScreen()
    plain.show(view("mirrored", PROVEN))
    plain.show(view("mirrored", PROVEN))
    plain.show(view("mirror removed", PROVEN, VIOLATED))

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0] == "[ 12.0 s] mirrored"
    assert "requests 120, matched 120, missing 0, leak 0, other 0: proven" in lines[1]
    assert lines[2] == "[ 12.0 s] mirror removed"
    assert "requests 120, matched 100, missing 15, leak 3, other 5: violated" in lines[3]
    assert lines[3].endswith("(watermark lag 1.5 s)")


def test_plain_lines_have_no_escape_codes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the environment asks for colour: a file gets text."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    plain = PlainScreen()

    plain.say("[bold]not markup[/bold]")
    plain.show(view("mirrored", VIOLATED))

    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "[bold]not markup[/bold]" in output


def test_the_table_shows_windows_and_totals() -> None:
    """One row a window, the totals of the run, and what the applications counted."""
    text = drawn(draw_windows(view("mirrored", PROVEN, VIOLATED)))

    assert "690 requests, 15 not mirrored, 10 leaked" in " ".join(text.split())
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    cells = [row for row in rows if row]
    assert cells[0][1:] == ["120", "120", "0", "0", "0", "proven"]
    assert cells[1][1:] == ["120", "100", "15", "3", "5", "violated"]
    assert cells[2] == ["all", "240", "220", "15", "3", "5", ""]


def test_the_progress_line_shows_phase_and_lag() -> None:
    """What the route does, and how far the verifier is behind."""
    text = " ".join(drawn(draw_progress(view("mirror removed"))).split())

    assert "mirror removed" in text
    assert "12 s" in text
    assert "watermark lag 1.5 s" in text


def test_an_unknown_watermark_is_a_dash() -> None:
    """Before the first evidence there is no lag to show."""
    bare = View(
        phase="mirrored",
        elapsed_s=0.1,
        round_s=60.0,
        truth=Truth(),
        progress=Progress(),
        now_us=START_US,
    )

    assert "watermark lag -" in " ".join(drawn(draw_progress(bare)).split())


def test_the_comparison_marks_what_differs() -> None:
    """The reader sees at once which figure is wrong."""
    lines = draw_comparison(compare(Truth(requests=10, mirrored=10), {"matched": 9, "missing": 1}))

    marked = [line.split("  ")[0] for line in lines if line.endswith("differs")]
    assert marked == ["mirrored to v1 (matched)", "not mirrored (missing)"]


def test_a_live_screen_can_be_closed_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing without a picture, and twice, is fine; lines can be said afterwards."""
    live = LiveScreen()
    live.close()
    live.show(view("mirrored", PROVEN))
    live.say("a line")
    live.close()
    live.close()


def test_without_a_terminal_the_screen_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets lines, whatever the environment claims."""
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert isinstance(open_screen(), PlainScreen)


@pytest.mark.parametrize(("term", "kind"), [("xterm-256color", LiveScreen), ("dumb", PlainScreen)])
def test_a_terminal_gets_the_table_if_it_can_move_its_cursor(
    monkeypatch: pytest.MonkeyPatch, term: str, kind: type
) -> None:
    """A dumb terminal would show each refresh below the one before."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(screen_module.sys.stdout, "isatty", lambda: True)

    assert isinstance(open_screen(), kind)


def test_moments_are_shown_in_local_time() -> None:
    """People compare them with their clocks."""
    local = datetime.fromtimestamp(START_US / 1e6, UTC).astimezone()

    assert clock_time(START_US) == local.strftime("%H:%M:%S")
