"""Nothing stays of a folder for a while, and what a SIGKILL has left of one goes with the next call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.interruption.scratch_folder import scratch_folder

ROOT = Path(__file__).parents[3]
HOLDS = """
import sys, time
from pathlib import Path
from scripts.interruption.scratch_folder import scratch_folder
with scratch_folder("sd-x-", Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_one_in_use_stays_and_one_whose_process_was_killed_goes(tmp_path: Path) -> None:
    other = tmp_path / "sd-x-of-somebody"
    other.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        killed = Path(process.stdout.readline().strip())
        with scratch_folder("sd-x-", tmp_path) as folder:
            assert {*tmp_path.iterdir()} == {other, killed, folder}
        assert not folder.exists()
        process.kill()
    with scratch_folder("sd-x-", tmp_path) as folder:
        assert {*tmp_path.iterdir()} == {other, folder}
