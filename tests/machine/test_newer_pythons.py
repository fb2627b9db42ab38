"""Set-up and demo under the Pythons of newer Debians, as somebody without a name, a home and a UTF-8 terminal.

In a root file system of the release, without booting it. `./scripts/test --long` runs them; each installs everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.python_packages import kept_settings
from tests.machine.booted.alone import alone
from tests.machine.booted.package_source import host_package_source

CHECKOUT = Path(__file__).parents[2]
CACHE = CHECKOUT / ".cache/debian"
PYTHONS = {"trixie": "3.13", "sid": "3.14"}
PACKAGES = "python3,python3-venv,ca-certificates"
NOBODY = 12345  # no user of any of the systems
DEMO = "./scripts/demo 'A horse' --iterations 1 --samples 1 --steps 4 --to out"


@pytest.mark.long
@pytest.mark.timeout(7200)  # each downloads 3 GB where PyTorch's index for processors cannot be reached
@pytest.mark.parametrize("suite", PYTHONS)
def test_a_stranger_s_first_demo(suite: str, tmp_path: Path) -> None:
    root, packages = _root_file_system(suite), CACHE / "pip"
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", CHECKOUT, clone], check=True)
    packages.mkdir(exist_ok=True)
    for owned in (clone, packages):
        subprocess.run(["chown", "--recursive", str(NOBODY), owned], check=True)
    environment, folders = _way_to_the_packages()
    inside = {**environment, "LC_ALL": "C", "OMP_NUM_THREADS": "1", "PIP_CACHE_DIR": "/pip"}
    words: list[str] = [
        *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--resolv-conf=copy-host"),
        *("--directory", str(root), f"--bind={clone}:/clone", f"--bind={packages}:/pip", "--chdir=/clone"),
        *(f"--bind-ro={folder}" for folder in folders),
        *(f"--setenv={name}={value}" for name, value in inside.items()),
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env", "-u", "HOME"),
        *("bash", "-c", f"./scripts/setup && .venv/bin/python -V && {DEMO}"),
    ]
    with (tmp_path / "said").open("wb") as output:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
    said = (tmp_path / "said").read_text("utf-8", errors="replace")
    assert done.returncode == 0, said
    assert f"Python {PYTHONS[suite]}." in said
    assert "Traceback" not in said
    assert len(list((clone / "out").glob("*/*/samples/*.png"))) == 1


def _root_file_system(suite: str) -> Path:
    """The release's smallest system with its Python, made where it is missing (minutes)."""
    CACHE.mkdir(parents=True, exist_ok=True)
    root = CACHE / suite
    with alone(CACHE / "lock"):
        if not root.exists():
            part = CACHE / "part"
            shutil.rmtree(part, ignore_errors=True)
            # The host's debootstrap may not know the release's name yet; every Debian is made as sid is.
            make = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(part)]
            subprocess.run([*make, host_package_source().url, "sid"], check=True, stdout=subprocess.DEVNULL)
            part.rename(root)
    return root


def _way_to_the_packages() -> tuple[dict[str, str], list[str]]:
    """The host's settings for reaching package indexes, and the host's files that they name."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    certificates = {name: value for name, value in os.environ.items() if "CERT" in name or "_CA_" in name}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    environment = {**certificates, **proxies, **kept_settings(listed.stdout)}
    words = [word for value in environment.values() for word in value.split()]
    # An index in files has its packages beside it.
    indexes = [str(Path(word.removeprefix("file://")).parent) for word in words if word.startswith("file:///")]
    files = [word for word in words if word.startswith("/") and Path(word).exists()]
    return environment, sorted({"/etc/ssl", *indexes, *files})
