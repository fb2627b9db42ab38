"""A set-up survives the person's machine, and one that is not whole is never stamped as whole.

`scripts/setup` runs as it is, without a network: a lock of one small package stands for the real one, and a few lines
for npm.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from scripts.python_packages import kept_settings, missing

ROOT = Path(__file__).parents[2]
SCRIPTS = ("setup", "environment.sh", "python_packages.py")
NPM = """#!/bin/sh
case "$*" in "ci "*" --ignore-scripts") ;; *) exit 9 ;; esac
mkdir -p node_modules/.bin
printf '#!/bin/sh\\nexit 0\\n' >node_modules/.bin/cdk
chmod +x node_modules/.bin/cdk
"""
# Builds this project as setuptools would: `sd` on the path is a file beside Python.
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "sd-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("sd-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: sd\\nVersion: 1\\n")
        wheel.writestr("sd-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("sd-1.dist-info/entry_points.txt", "[console_scripts]\\nsd = small:main\\n")
        wheel.writestr("sd-1.dist-info/RECORD", "")
    return name
"""
BUILD = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "sd"
version = "1"
"""
# Makes an environment as Python does, but that pip is copied and not installed, which takes seconds each time.
QUICK_PYTHON = """#!/bin/sh
[ "$2" = venv ] || exec '{python}' "$@"
shift 2
'{python}' -m venv --without-pip "$@" && cp -a {pip} .venv/lib/python*/site-packages/
"""
WHEEL = {
    "small.py": "def main():\n    print('small')\n",
    "small-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n",
    "small-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "small-1.0.dist-info/RECORD": "",
}


class Checkout:
    """A checkout in which nothing is set up yet, in the home of a person with settings for everything."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.root = folder / "my stable diffusion (1) ü"
        self.wheels = folder / "wheels"
        (self.root / "scripts").mkdir(parents=True)
        for name in SCRIPTS:
            shutil.copy(ROOT / "scripts" / name, self.root / "scripts" / name)
        self.wheels.mkdir()
        wheel = self.wheels / "small-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, text in WHEEL.items():
                archive.writestr(name, text)
        pinned = f"small==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
        files = {
            "requirements.txt": pinned, "requirements-torch.txt": "", "package-lock.json": "{}", "backend.py": BACKEND,
            "requirements-torch-cpu.txt": "-r requirements-torch.txt\n",
            "pyproject.toml": BUILD, "../bin/npm": NPM, "../home/.config/pip/pip.conf": "[install]\nuser = true\n",
        }  # fmt: skip
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        (folder / "bin/npm").chmod(0o755)
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "PYTHON": sys.executable,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            "HTTPS_PROXY": "http://127.0.0.1:9",
        }

    def set_up(self, **more: str) -> subprocess.CompletedProcess[str]:
        process = self.begin_to_set_up(**more)
        said, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, said)

    def begin_to_set_up(self, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "scripts/setup"],
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def make_environments_quickly(self) -> None:
        program = self.home / "python"
        pip = distribution("pip")
        copied = [pip.locate_file("pip"), pip.locate_file(f"pip-{pip.version}.dist-info")]
        program.write_text(QUICK_PYTHON.format(python=sys.executable, pip=shlex.join(map(str, copied))))
        program.chmod(0o755)
        self.environment["PYTHON"] = str(program)

    @property
    def is_stamped(self) -> bool:
        return (self.root / ".venv/.whole").exists() and (self.root / "node_modules/.whole").exists()

    def sd(self) -> str:
        return subprocess.run([self.root / ".venv/bin/sd"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_settings_of_pip_and_python_for_something_else_are_passed_over_and_a_moved_folder_is_made_again(
    checkout: Checkout, tmp_path: Path
) -> None:
    """In one test, because each set-up takes seconds: pip starts five times."""
    for word, status in (("--help", 0), ("-h", 0), ("demo", 2)):  # none is taken for a wish to install
        told = subprocess.run([checkout.root / "scripts/setup", word], capture_output=True, text=True, check=False)
        assert (told.returncode, told.stdout.splitlines()[0]) == (status, "usage: ./scripts/setup")
        assert not (checkout.root / ".venv").exists()
    (tmp_path / "constraints").write_text("small<1\n")
    (checkout.root / "requirements-torch-cpu.txt").write_text("not-here==1\n")
    elsewhere = tmp_path / "elsewhere"
    hostile = {f"PIP_{name}": str(elsewhere) for name in ("TARGET", "PREFIX", "ROOT", "PYTHON", "REPORT")}
    flags = ("USER", "REQUIRE_VIRTUALENV", "DRY_RUN", "IGNORE_INSTALLED", "NO_DEPS", "PRE", "REQUIRE_HASHES")
    hostile |= {f"PIP_{name}": "1" for name in flags}
    hostile |= {"PIP_NO_BINARY": ":all:", "PIP_CONSTRAINT": str(tmp_path / "constraints"), "PYTHONPATH": "/nowhere"}
    hostile |= {"PYTHONHOME": "/nowhere", "PYTHONWARNINGS": "error", "LC_ALL": "C", "npm_config_global": "true"}
    done = checkout.set_up(**hostile)
    assert done.returncode == 0, done.stdout
    assert "does not answer, so torch comes from the usual index" in done.stdout
    assert checkout.is_stamped
    assert checkout.sd() == "small\n"
    assert not elsewhere.exists()
    assert checkout.set_up(**hostile).stdout == "", "nothing is left to do"

    moved = tmp_path / "renamed"
    checkout.root.rename(moved)
    checkout.root = moved
    checkout.make_environments_quickly()
    del checkout.environment["HOME"]
    done = checkout.set_up()
    assert done.returncode == 0, done.stdout
    assert checkout.sd() == "small\n"

    link = tmp_path / "link"
    link.symlink_to(moved)
    checkout.root = link
    assert checkout.set_up().stdout == "", "a link to a checkout is the same checkout"


def test_what_is_not_whole_is_not_stamped_and_goes_on_once_it_can(checkout: Checkout) -> None:
    """In one test, because a new environment takes seconds."""
    checkout.make_environments_quickly()
    harms = {
        checkout.home / ".config/pip/pip.conf": (b"[install\n", "pip cannot read its settings"),
        checkout.wheels / "small-1.0-py3-none-any.whl": (b"half of", "the Python packages could not be installed"),
        checkout.root.parent / "bin/npm": (b"#!/bin/sh\nexit 0\n", "the CDK CLI does not start"),
        checkout.root / "requirements-torch.txt": (b"nothing==1\n", "torch could not be installed"),
    }
    for file, (content, said) in harms.items():
        whole = file.read_bytes()
        file.write_bytes(content)
        done = checkout.set_up()
        assert done.returncode != 0
        assert said in done.stdout
        assert not checkout.is_stamped
        file.write_bytes(whole)
    together = [checkout.begin_to_set_up() for _ in range(2)]
    printed = [process.communicate()[0] for process in together]
    assert [process.returncode for process in together] == [0, 0], printed
    assert "".join(printed).count("Python packages into .venv") == 1, (
        "the other one waited, and found nothing left to do"
    )
    assert checkout.is_stamped
    assert checkout.sd() == "small\n"


def test_a_folder_that_path_cannot_name_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    checkout.root = checkout.root.rename(tmp_path / "a:b")
    done = checkout.set_up()
    assert done.returncode == 1
    assert done.stdout == (
        f"setup: the checkout lies in {checkout.root}, but PATH takes no folder with a colon. Rename that folder.\n"
    )


def test_an_index_of_one_s_own_is_kept_and_the_nearer_setting_goes_first() -> None:
    listed = "\n".join(
        [
            ":env:.index-url='https://env'",
            ":env:.user='1'",
            "global.index-url='https://global'",
            "global.extra-index-url='https://a\\nhttps://b'",
            "global.target='/x'",
            "install.cert='/ca.pem'",
            "freeze.timeout='10'",
        ]
    )
    assert kept_settings(listed) == {
        "PIP_INDEX_URL": "https://env",
        "PIP_EXTRA_INDEX_URL": "https://a\nhttps://b",
        "PIP_CERT": "/ca.pem",
    }
    assert kept_settings(listed, index_is_named=True) == {"PIP_CERT": "/ca.pem"}


def test_a_package_that_is_not_there_or_at_another_version_is_missing(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(
        "# a comment==1\nnot-there==1.0 \\\n    --hash=sha256:0\nnot-here==1 ; sys_platform == 'win32' \\\n"
        "pytest==0.0.1\n"
    )
    assert missing([str(lock)]) == ["not-there", "pytest"]
    assert missing([str(ROOT / "requirements.txt"), str(ROOT / "requirements-torch.txt")]) == []


def test_the_home_is_that_of_the_person_or_a_folder_of_the_checkout(tmp_path: Path) -> None:
    def home(**environment: str) -> str:
        script = f"set -eu; root='{tmp_path}'; . {ROOT}/scripts/environment.sh; printf %s \"$HOME\""
        done = subprocess.run(["bash", "-c", script], env={"PATH": os.defpath, **environment}, stdout=subprocess.PIPE)
        return done.stdout.decode()

    mine = tmp_path / "mine"
    mine.mkdir()
    assert home(HOME=str(mine)) == str(mine)
    assert home() == str(Path("~root" if os.getuid() == 0 else "~").expanduser())
    for none in ("/nonexistent", "/dev/null"):
        assert home(HOME=none) == str(tmp_path / ".cache/home")
