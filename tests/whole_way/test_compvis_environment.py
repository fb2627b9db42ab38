"""The original scripts' environment: its lock installs on its Python, and what the scripts import can be imported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.finished_command import run_to_end
from userdata.boot.steps.compvis import IMPORT, INSTALL_OPTIONS

DEFINITION = Path(__file__).parents[2] / "userdata/compvis"
YAML = (DEFINITION / "environment.yaml").read_text("utf-8")
SECONDS = 400
run = partial(run_to_end, seconds=SECONDS)


def pinned(name: str) -> str:
    version = re.search(rf"^ *- ({name}=[\d.]+)$", YAML, re.MULTILINE)
    assert version
    return version[1].replace("=", "==")


def find_python() -> str:
    """An interpreter of the environment's version, from the usual places; on an instance conda brings it."""
    minor = pinned("python").removeprefix("python==").rpartition(".")[0]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for candidate in (shutil.which(f"python{minor}"), *sorted(pyenv.glob(f"versions/{minor}.*/bin/python"))):
        if candidate and not subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode:
            return str(candidate)
    pytest.skip(f"there is no Python {minor}, on which the original's environment is built: install it, by pyenv say")


@pytest.fixture
def python() -> Iterator[Path]:
    """In an environment of its own, of 2 GB, that pytest would keep."""
    with tempfile.TemporaryDirectory() as environment:
        run(find_python(), "-m", "venv", environment)
        yield Path(environment) / "bin/python"


def test_the_environment_installs_and_its_imports_pass(python: Path) -> None:
    """As the boot builds and checks it, but for conda and the builds for CUDA 11.3: they are on no package index."""
    # Without bytecode: compiling all of torch would take a third of the time, and the imports compile what they need.
    install = (python, "-m", "pip", "install", "--no-input", "--no-cache-dir", "--no-compile")
    run(*install, *(pinned(name) for name in ("pip", "setuptools")), "wheel")
    run(*install, *INSTALL_OPTIONS, "--requirement", DEFINITION / "requirements.txt")
    builds = re.findall(r"^(torch\w*==[\d.]+)\+cu113 ", (DEFINITION / "wheels.txt").read_text("utf-8"), re.MULTILINE)
    assert len(builds) == 2
    run(*install, "--no-deps", *builds)
    run(python, "-c", IMPORT)
