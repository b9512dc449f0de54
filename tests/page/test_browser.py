"""What a browser makes of the pages: charts are drawn, nothing comes from elsewhere, phones fit.

Screenshots of each state go to the folder that pytest names at the end (`--basetemp`).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from collector.db.engine import open_engine
from collector.settings import ApiSettings, DatabaseSettings, Settings
from tests.settling import NOW, SECOND, World, make_policy, request
from verifier.api.server import Server, make_services
from verifier.times import iso_time

pytestmark = pytest.mark.slow
NAME = "weather/forecast"
_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_CODES = {"mirror0": 503}
_LIMIT_S = 120


@pytest.fixture
def world(migrated_sqlite_url: str) -> Iterator[World]:
    """A database without anything."""
    engine = open_engine(migrated_sqlite_url)
    yield World(engine)
    engine.dispose()


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """Where the page of the world answers."""
    database = make_url(world.engine.url).render_as_string(hide_password=False)
    settings = Settings(
        database=DatabaseSettings(url=database), api=ApiSettings(listen="127.0.0.1:0")
    )
    server, stop = Server(make_services(settings, world.engine)), Event()
    thread = Thread(target=server.run, args=(stop,))
    thread.start()
    yield server.url
    stop.set()
    thread.join()


def settle(world: World, windows: int, lost: int) -> None:
    """So many windows with traffic, and as many lost copies in each."""
    world.declare(make_policy(("v1", 100)))
    lines = []
    for number in range(windows):
        for item in range(4 + lost):
            start_us = NOW + number * 10 * SECOND + item * 1_000
            one = request(number * 1_000 + item, start_us, path=("/", "/orders")[item % 2])
            if number % 6 == 5:
                one = [replace(line, code=_CODES.get(line.pod, 200)) for line in one]
            lines += one if item >= lost else [line for line in one if line.pod != "mirror0"]
    world.write(lines)
    world.settle_all()


def browse(url: str, *options: str) -> str:
    """What the page is after its script ran."""
    assert _CHROMIUM is not None, "these tests need Chromium (on Debian: chromium)"
    done = subprocess.run(
        [
            _CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--virtual-time-budget=4000", *options, url,
        ],
        capture_output=True, text=True, timeout=_LIMIT_S, check=True,
    )  # fmt: skip
    return done.stdout


def shoot(url: str, file: Path, size: str, *options: str) -> None:
    """Takes a picture for people to look at."""
    browse(url, f"--screenshot={file}", f"--window-size={size}", *options)
    assert file.stat().st_size > 5_000


def policy_url(url: str) -> str:
    """The page of the policy over all there is."""
    return f"{url}/policy?name={NAME}&since={iso_time(NOW)}"


def test_charts_are_drawn_with_what_was_settled(world: World, url: str) -> None:
    """A trace for each verdict that occurs, drawn by the chart library of the page."""
    settle(world, 30, lost=1)

    page = browse(policy_url(url), "--dump-dom")

    assert re.search(r'class="plot js-plotly-plot"', page)
    assert page.count('<g class="trace bars"') == 2
    assert ">missing</text>" in page


def test_a_range_without_windows_says_so_in_place_of_a_chart(world: World, url: str) -> None:
    """No empty axes."""
    settle(world, 1, lost=0)
    late = iso_time(NOW + 3_600 * SECOND)

    page = browse(f"{policy_url(url)}&since={late}", "--dump-dom")

    assert "js-plotly-plot" not in page


def test_nothing_is_loaded_from_elsewhere(world: World, url: str) -> None:
    """A browser that can reach this machine only shows the same."""
    settle(world, 5, lost=1)

    page = browse(
        policy_url(url), "--dump-dom", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    )

    assert page.count('<g class="trace bars"') == 2


@pytest.mark.parametrize(
    ("state", "size", "options"),
    [
        ("empty", "1200,900", ()),
        ("filled", "1200,1400", ()),
        ("thousands", "1200,1400", ()),
        ("phone", "390,1200", ()),
        ("dark", "1200,1400", ("--blink-settings=preferredColorScheme=0",)),
    ],
)
def test_every_state_has_its_picture(
    world: World, url: str, tmp_path: Path, state: str, size: str, options: tuple[str, ...]
) -> None:
    """Empty, filled, thousands of findings, on a phone, in the dark."""
    if state != "empty":
        settle(world, 60, lost=40 if state == "thousands" else 1)

    shoot(url, tmp_path / f"{state}-overview.png", size, *options)
    if state != "empty":
        shoot(policy_url(url), tmp_path / f"{state}-policy.png", size, *options)
    if state not in ("empty", "thousands"):
        ids = quote("\n".join(["nobody", *(f"id-{number}" for number in range(9))]))
        shoot(f"{url}/requests?ids={ids}", tmp_path / f"{state}-requests.png", size, *options)
