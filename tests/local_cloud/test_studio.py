"""`sd studio --local` as a newcomer starts and ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil

from tests.local_cloud.conftest import PATIENCE, is_alive, until

STUDIO = Path(__file__).parents[2] / "scripts/studio/__main__.py"


def test_the_page_is_there_before_the_local_cloud_which_ends_with_it(tmp_path: Path) -> None:
    """The person's own keys are no longer there by then, and what was pressed at once is drawn by the local machine."""
    keys = {"AWS_ACCESS_KEY_ID": "the-person-s", "AWS_SECRET_ACCESS_KEY": "own", "AWS_REGION": "eu-west-1"}
    studio = subprocess.Popen(
        [sys.executable, "-P", str(STUDIO), "--local", "--no-open", "--port=0"],
        cwd=tmp_path, env={**os.environ, **keys}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert studio.stdout
        link = re.search(r"http://(127\.0\.0\.1:\d+)/\?token=(\S+)", studio.stdout.readline())
        assert link
        headers = {"Authorization": f"Bearer {link[2]}", "Accept": "application/json"}
        with httpx2.Client(base_url=f"http://{link[1]}", headers=headers, timeout=PATIENCE) as client:
            pressed = client.post("/generate", data={"Prompt": "a red horse", "Samples": "1"})
            assert (pressed.status_code, pressed.json()["state"]) == (202, "kept"), "nothing is deployed yet"
            runs = until(lambda: client.get("/runs").json().get("runs", [])[1:], "the press is sent")
            assert {one["prompt"] for one in runs} <= {"a red horse", "A horse standing under a tree"}
            machine = client.get("/status").json()
            assert (machine["model"], machine["state"], machine["trouble"]) == ("demo", "running", None)
        below = [one.pid for one in psutil.Process(studio.pid).children(recursive=True)]
        studio.send_signal(signal.SIGINT)
        said = studio.communicate(timeout=PATIENCE)[1]
    finally:
        studio.kill()
        studio.wait()
    assert studio.returncode == 130
    assert "The studio has ended, and with it the local cloud and everything in it." in said
    assert below
    assert not [pid for pid in below if is_alive(pid)]
    assert "Traceback" not in said
