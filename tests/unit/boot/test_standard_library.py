import subprocess
import sys

from tests.unit.boot.conftest import BUNDLE


def test_the_boot_needs_nothing_but_the_standard_library() -> None:
    code = "import userdata.boot.sequence, userdata.boot.after_worker, userdata.boot.tell_failure"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=BUNDLE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
