"""What the README promises a newcomer: one command draws the prompt, without an account, a GPU or a download."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from PIL import Image

from scripts.local.command_environment import CHECKOUT
from tests.whole_way.conftest import TEST_SECONDS

pytestmark = [pytest.mark.local_cloud, pytest.mark.timeout(TEST_SECONDS)]


def test_the_demo_draws_its_prompt_where_the_person_is(tmp_path: Path) -> None:
    finished = subprocess.run(
        [CHECKOUT / "scripts/demo", "A dog on a red background", "--iterations", "1", "--samples", "1", "--steps", "8"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    count, arrow, folder = finished.stdout.strip().splitlines()[-1].rpartition(" -> ")
    assert (count, arrow) == ("1 image", " -> ")
    (file,) = (tmp_path / folder).glob("*.png")
    with Image.open(file) as picture:
        assert picture.size == (128, 128)
        red, green, blue = picture.convert("RGB").getpixel((2, 2))  # type: ignore[misc]
    assert red > 2 * max(green, blue)
