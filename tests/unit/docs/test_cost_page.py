"""docs/cost.md must not drift from the table that it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.command_line.before.doctor import CHECKS
from stacks.facts.card_speeds import ARTICLE_TFLOP, CARD_SPEEDS, WORK_PER_PIXEL

PAGE = (Path(__file__).parents[3] / "docs/cost.md").read_text("utf-8")


@pytest.mark.parametrize("card", CARD_SPEEDS)
def test_every_card_s_figure_and_origin_are_shown(card: str) -> None:
    speed = CARD_SPEEDS[card]
    assert f"| {card} | {speed.seconds:g} | {speed.basis}: {speed.origin} |" in PAGE


def test_the_work_of_each_model_is_shown() -> None:
    assert f"{ARTICLE_TFLOP:g} TFLOP" in PAGE
    assert f"SDXL {WORK_PER_PIXEL['stable-diffusion-xl']} times" in PAGE
    assert f"FLUX.1 {WORK_PER_PIXEL['flux-schnell']} times" in PAGE


@pytest.mark.parametrize("name", CHECKS)
def test_every_line_of_the_doctor_is_explained(name: str) -> None:
    assert f"| {name} |" in PAGE
