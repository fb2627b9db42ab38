import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.boot.conftest import BUNDLE

TOOLS = Path(sys.executable).parent
SCRIPTS = sorted(BUNDLE.glob("*.sh"))
# What runs before the environment `ldm` is there, under Amazon Linux 2023's own Python.
WORKER_MODULES = ("layout", "run_name", "parameter_file", "status", "catalogue")


@pytest.mark.parametrize(
    "command", [["bash", "-n"], [TOOLS / "shellcheck"], [TOOLS / "shfmt", "-i", "2", "-ci", "-d"]], ids=str
)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_is_clean(script: Path, command: list[str | Path]) -> None:
    done = subprocess.run([*command, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_boot_runs_under_python_3_9() -> None:
    files = [BUNDLE / "boot", *(BUNDLE / f"worker/{name}.py" for name in WORKER_MODULES)]
    command: list[str | Path] = [TOOLS / "vermin", "-t=3.9-", "--violations", "--no-tips", "--eval-annotations", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_boot_needs_nothing_but_the_standard_library() -> None:
    code = "import userdata.boot.sequence, userdata.boot.after_worker"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=BUNDLE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
