from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demo_model.measuring.report import MEASURED, OTHERS, PAIRS, report, title
from userdata.contract.catalogue import find_model

SCALE = float(find_model("demo").defaults["scale"])
SHARES = {
    "things": 0.9, "all_things": 0.86, "relation": 0.74, "colours": 0.8, "count": 0.91, "backdrop": 1.0, "place": 0.97,
    "time": 1.0,
}  # fmt: skip


@pytest.fixture
def figures() -> dict[str, Any]:
    words = {"things": {"cat": [1, 4], "dog": [4, 4]}, "relation": {"on": [3, 4]}}
    found: dict[str, Any] = {
        "autoencoder psnr in dB": 25.71,
        "judge on composed scenes": dict.fromkeys(SHARES, 1.0),
        "judge on composed scenes through the autoencoder": dict.fromkeys(SHARES, 0.995),
        "image to image": {
            "strength 0.2": {"layout alike": 0.9312, "initial image's things": 0.88, "prompt's things": 0.01}
        },
    }
    for kind in (PAIRS, OTHERS):
        for scale in (1.5, SCALE, 7.5):
            found[title(kind, scale)] = {**SHARES, "place": 0.5} if scale == 1.5 else SHARES
            found[f"{title(kind, scale)}, by word"] = words
    return found


def made(figures: dict[str, Any], folder: Path) -> str:
    (folder / MEASURED).write_text(json.dumps(figures))
    return report(folder)


def test_each_goal_is_compared_with_combinations_that_were_never_seen(figures: dict[str, Any], tmp_path: Path) -> None:
    lines = made(figures, tmp_path).splitlines()
    assert "| all things of an image | 86.0 % | 86.0 % | 100.0 % | 99.5 % | 85 %, met |" in lines
    assert "| the relation | 74.0 % | 74.0 % | 100.0 % | 99.5 % | 75 %, missed |" in lines
    assert "| the colour of a thing | 80.0 % | 80.0 % | 100.0 % | 99.5 % | 80 %, met |" in lines
    assert "| the place | 97.0 % | 97.0 % | 100.0 % | 99.5 % |  |" in lines


def test_every_scale_that_was_measured_is_shown_and_the_default_marked(figures: dict[str, Any], tmp_path: Path) -> None:
    text = made(figures, tmp_path)
    assert f"| {SCALE:g} (default) | 86.0 % | 74.0 % | 80.0 % |" in text
    assert "| 1.5 | 86.0 % |" in text
    assert "| 7.5 | 86.0 % |" in text


def test_image_to_image_is_shown_by_strength(figures: dict[str, Any], tmp_path: Path) -> None:
    assert "| 0.2 | 0.93 | 88.0 % | 1.0 % |" in made(figures, tmp_path)


def test_words_are_counted_over_both_kinds_of_scenes_the_weakest_first(figures: dict[str, Any], tmp_path: Path) -> None:
    words = made(figures, tmp_path)
    assert "| things | cat 2/8 | 1 of 2, asked for 8 to 8 times each |\n| relation | on 6/8 | 0 of 1 |" in words


def test_a_default_that_was_not_measured_is_not_reported_on(figures: dict[str, Any], tmp_path: Path) -> None:
    del figures[title(PAIRS, SCALE)]
    with pytest.raises(KeyError):
        made(figures, tmp_path)
