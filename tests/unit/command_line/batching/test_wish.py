"""The options of `sd batch`: grids, times, and what does not go together."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scripts.command_line.batching.grid import read_grid
from scripts.command_line.batching.when import read_time, time_in_words
from scripts.command_line.batching.wish import read_wish
from scripts.command_line.terminal.command_error import CommandError

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN)


def test_a_grid_is_every_combination() -> None:
    assert read_grid(["cfg_scale=5,7.5", "seed=1..3"]) == [
        {"scale": scale, "seed": seed} for scale in ("5", "7.5") for seed in ("1", "2", "3")
    ]
    assert read_grid(["Sampler=Euler a, ddim"]) == [{"sampler": "Euler a"}, {"sampler": "ddim"}]
    assert read_grid([]) == [{}]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["scale"], "is no NAME=VALUES, for example"),
        (["scal=1"], "the nearest is scale"),
        (["prompt=a,b"], "a grid is for H, W"),
        (["n_iter=1..3"], "a grid is for"),
        (["scale=5", "cfg_scale=6"], "gives scale a second time"),
        (["seed=8..1"], "must go up"),
        (["seed=1..200000"], "must go up, by less than 100,000"),
        (["seed=1..100", "steps=1..1000", "H=64,128"], "has 200,000 combinations"),
        (["scale=5,,6"], "has an empty value"),
        (["scale=5,5"], "has a value twice"),
        (["scale=7.5,7.50"], "has a value twice"),
    ],
)
def test_any_other_grid_is_refused(options: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        read_grid(options)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("13:30", "2026-03-28T12:30"),
        ("9:00", "2026-03-29T07:00"),  # the clocks go forward in that night
        ("2026-03-29T09:00", "2026-03-29T07:00"),
        ("2026-03-29 09:00+00:00", "2026-03-29T09:00"),
        ("2026-03-29T09:00Z", "2026-03-29T09:00"),
        ("2:30", "2026-03-29T01:30"),  # no clock shows it: an hour later
        ("2026-03-29T02:30", "2026-03-29T01:30"),
    ],
)
def test_a_time_is_the_next_one_here(text: str, utc: str) -> None:
    assert f"{read_time(text, NOON).astimezone(UTC):%Y-%m-%dT%H:%M}" == utc


def test_a_time_of_this_computer_s_own_zone_is_the_next_one() -> None:
    now = datetime.now().astimezone()
    wanted = now + timedelta(hours=2)
    assert abs(read_time(f"{wanted:%H:%M}", now) - wanted) < timedelta(hours=1, minutes=1)  # summer time may begin


@pytest.mark.parametrize("named", [True, False])
def test_an_hour_that_comes_twice_in_a_night_is_the_next_one(named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system's own zone has no name."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    first, second = (datetime(2026, 10, 25, 2, 40, tzinfo=BERLIN, fold=fold) for fold in (0, 1))
    before = datetime(2026, 3, 29, 1, 40, tzinfo=BERLIN)
    nows = [now if named else now.astimezone(UTC).astimezone() for now in (first, second, before)]
    found = [read_time(text, now).astimezone(UTC) for now in nows for text in ("2:50", "2:30")]
    monkeypatch.undo()
    time.tzset()
    times = ["25 00:50", "25 01:30", "25 01:50", "26 01:30", "29 01:50", "29 01:30"]
    assert [f"{one:%d %H:%M}" for one in found] == times


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0001-01-01T00:00+12:00", "must be a time"),
        ("9999-12-31T23:59-12:00", "must be a time"),
        ("25:00", "must be a time"),
        ("soon", "must be a time"),
        ("2026-03-30", "must be a time"),
        ("2026-03-28T11:59", "which is past"),
        ("2026-04-04T14:00", "which is more than 7 days ahead"),
    ],
)
def test_any_other_time_is_refused(text: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        read_time(text, NOON)


def test_the_time_zone_is_said() -> None:
    assert time_in_words(read_time("9:00", NOON)) == "2026-03-29 09:00 (UTC+02:00), which is 07:00 UTC"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"grid": ["scale=5,6"], "given": {"GuidanceScale": "7"}}, "scale is given by an option and by --grid"),
        ({"sample": 3, "add": "x"}, "--sample and --add"),
        ({"sample": 3, "at": "02:00"}, "--sample and --at"),
        ({"sample": 0}, "--sample is 0"),
        ({"given": {"Prompt": "a\udcff"}}, "Prompt is not UTF-8"),
        ({"max_usd": float("nan")}, "--max-usd is nan"),
        ({"max_usd": 0.0}, "--max-usd is 0"),
        ({"machines": 0}, "--machines is 0"),
        ({"add": "x", "given": {"RunId": "y"}}, "--add and --run-id"),
        ({"file": "-", "yes": False}, "add --yes"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], says: str) -> None:
    usual: dict[str, Any] = {
        "form": None,
        "grid": [],
        "given": {},
        "add": None,
        "sample": None,
        "max_usd": None,
        "machines": None,
        "at": None,
    }
    asked = {"file": "a.txt", "yes": True, "fetch_to": Path(), "now": NOON, **usual, **options}
    with pytest.raises(CommandError, match=says) as refused:
        read_wish(asked.pop("file"), **asked)
    assert refused.value.exit_status == 2
