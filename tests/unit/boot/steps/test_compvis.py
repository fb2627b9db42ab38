import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.boot.conftest import BUNDLE
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps import compvis
from userdata.boot.steps.compvis import make_compvis
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience

ONCE = Patience(attempts=1)


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits, of which the first is the pinned one, and an interpreter that has everything."""
    repository = tmp_path / "origin"
    repository.mkdir()
    git(repository, "init", "--quiet")
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    for text in ("pinned", "later"):
        (repository / "txt2img.py").write_text(text)
        git(repository, "add", ".")
        git(repository, "commit", "--quiet", "-m", text)
    monkeypatch.setattr(compvis, "COMMIT", git(repository, "rev-parse", "HEAD~1"))
    monkeypatch.setattr(compvis, "IMPORT", "import sys")
    return repository


def provide(tmp_path: Path, url: str) -> compvis.Original:
    settings = {"SD_COMPVIS_URL": url, "SD_COMPVIS_PYTHON": sys.executable}
    return make_compvis(Folders(str(tmp_path / "machine")), settings, patience=ONCE)


def test_the_pinned_commit_is_fetched_and_only_once(tmp_path: Path, original: Path) -> None:
    found = provide(tmp_path, f"file://{original}")
    assert (found.repository / "txt2img.py").read_text() == "pinned"
    assert found.python == Path(sys.executable)
    made = (found.repository / "txt2img.py").stat()
    assert provide(tmp_path, "file:///gone").repository == found.repository
    assert (found.repository / "txt2img.py").stat().st_ino == made.st_ino


def test_a_half_fetched_repository_is_fetched_anew(tmp_path: Path, original: Path) -> None:
    half = tmp_path / "machine/opt/sd-on-ec2/compvis/stable-diffusion"
    half.mkdir(parents=True)
    (half / "txt2img.py").write_text("half")
    assert (provide(tmp_path, f"file://{original}").repository / "txt2img.py").read_text() == "pinned"


def test_an_image_without_git_is_told(tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match="no git, which Engine=compvis needs.*Engine=diffusers"):
        provide(tmp_path, f"file://{original}")


def test_a_repository_without_that_commit_is_told(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compvis, "COMMIT", "0" * 40)
    with pytest.raises(StepError, match="original scripts could not be fetched from file://"):
        provide(tmp_path, f"file://{original}")


def test_an_environment_that_does_not_work_is_told(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compvis, "IMPORT", "import no_such_module")
    with pytest.raises(StepError, match="environment of the original scripts does not work: .*Engine=diffusers"):
        provide(tmp_path, f"file://{original}")


# `conda env create ... --prefix PREFIX` makes an interpreter that notes what it is asked for; pip may fail once.
CONDA = """#!/bin/bash
echo "conda $*" >>"{log}"
prefix=${{*: -1}}
[[ ! -e $prefix ]] || exit 1
mkdir -p "$prefix/bin" && cp "{python}" "$prefix/bin/python"
"""
PYTHON = """#!/bin/bash
echo "python $*" >>"{log}"
[[ $2 != pip || ! -e "{breaks}" ]] || {{ rm "{breaks}"; exit 1; }}
"""


def test_the_environment_is_built_from_its_definition_and_only_once(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, breaks, conda, python = (tmp_path / name for name in ("log", "breaks", "conda", "python"))
    conda.write_text(CONDA.format(log=log, python=python))
    python.write_text(PYTHON.format(log=log, breaks=breaks))
    for command in (conda, python):
        command.chmod(0o755)
    breaks.touch()
    monkeypatch.setattr(compvis, "install_conda", lambda _folders, _settings: conda)
    folders, settings = Folders(str(tmp_path / "machine")), {"SD_COMPVIS_URL": f"file://{original}"}
    definition = folders.deployed.compvis
    shutil.copytree(BUNDLE / "compvis", definition)

    patience = Patience(attempts=2, sleep=lambda _seconds: None)
    found = make_compvis(folders, settings, patience=patience)
    assert found.python == folders.software / "compvis/envs/ldm/bin/python"
    create, *installs, check = log.read_text().splitlines()
    assert create == (
        f"conda env create --quiet --yes --file {definition}/environment.yaml --prefix {found.python.parents[1]}"
    )
    assert len(installs) == 2 and installs[0] == installs[1]
    words = installs[0].replace(str(definition), "compvis").split()
    assert words[1:4] == ["-m", "pip", "install"]
    assert {"--require-hashes", "--no-deps", "--no-build-isolation", "--no-input", "--no-cache-dir"} <= set(words)
    required = [file for option, file in pairwise(words) if option == "--requirement"]
    assert required == ["compvis/wheels.txt", "compvis/requirements.txt"]
    assert check == "python -c import sys"

    log.unlink()
    make_compvis(folders, settings, patience=patience)
    assert log.read_text().splitlines() == [check]
    with (definition / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    make_compvis(folders, settings, patience=patience)
    assert log.read_text().splitlines() == [check, create, installs[0], check]


def test_every_package_of_the_environment_has_a_hash() -> None:
    for name in ("wheels.txt", "requirements.txt"):
        text = (BUNDLE / "compvis" / name).read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if "==" in line]
        assert lines
        assert all("--hash=sha256:" in line for line in lines)
