"""The pages show what the commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.docs.captures import captures
from scripts.docs.places import CAPTURES
from scripts.local.local_cloud import LocalCloud
from tests.whole_way.conftest import TEST_SECONDS

pytestmark = [pytest.mark.local_cloud, pytest.mark.timeout(TEST_SECONDS)]


def test_every_capture_is_what_the_command_prints_today(cloud: LocalCloud, tmp_path: Path) -> None:
    shown = {file.stem: file.read_text("utf-8").splitlines() for file in CAPTURES.glob("*.txt")}
    for name, printed in captures(cloud, tmp_path):
        assert printed.splitlines() == shown.pop(name), "`python -m scripts.docs --captures` takes the captures anew"
    assert not shown
