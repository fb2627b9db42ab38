import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.unit.boot.conftest import BUNDLE
from tests.unit.boot.given_machine import given_machine
from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import Cache, Entry, State, read_notes
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.built_environment import build_environment, find_environment
from userdata.boot.steps.environment import (
    check_gpu,
    interpreter_key,
    provide_environment,
    use_interpreter,
)
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience

# `conda env create ... --prefix PREFIX` makes an interpreter that does what the files say that lie beside it.
CONDA = """#!/bin/bash
echo "conda $1 $2" >>"{log}"
prefix=${{*: -1}}
[[ ! -e $prefix ]] || {{ echo "prefix already exists: $prefix" >&2; exit 1; }}
mkdir -p "$prefix/bin" && cp "{python}" "$prefix/bin/python"
"""
PYTHON = """#!/bin/bash
echo "python $1 ${{2%%[;. ]*}} $3" >>"{log}"
[[ $2 == pip && $3 == config ]] && {{ cat "{folder}/pip-config" 2>/dev/null; exit 0; }}
if [[ $* == *--target* ]]; then
  [[ ! -e "{folder}/no-uv" ]] || {{ echo "no wheel for this machine" >&2; exit 1; }}
  while [[ $1 != --target ]]; do shift; done
  mkdir -p "$2/bin" && cp "{folder}/uv" "$2/bin/uv"; exit 0
fi
[[ $2 == pip && -e "{folder}/break-pip" ]] && {{ rm "{folder}/break-pip"; echo "connection broken" >&2; exit 1; }}
[[ $2 == from* && -e "{folder}/break-import" ]] && {{ echo "ImportError: libcuda.so.1" >&2; exit 1; }}
echo 2.13.0
"""
UV = """#!/bin/bash
echo "uv $*" >>"{log}"
env | grep ^UV_ | sort >"{folder}/uv-settings"
[[ ! -e "{folder}/break-uv" ]] || {{ echo "connection broken" >&2; exit 2; }}
"""
TWICE = Patience(attempts=2, sleep=lambda seconds: None)


class Conda:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folders = Folders(str(folder))
        self.definition = self.folders.deployed.root
        self.definition.mkdir(parents=True)
        for name in ("environment.yaml", "requirements.txt", "uv.txt"):
            shutil.copy(BUNDLE / name, self.definition)
        self.log = folder / "log"
        python = folder / "python"
        self.command = folder / "conda"
        python.write_text(PYTHON.format(log=self.log, folder=folder))
        uv = folder / "uv"
        uv.write_text(UV.format(log=self.log, folder=folder))
        uv.chmod(0o755)
        self.command.write_text(CONDA.format(log=self.log, python=python))
        python.chmod(0o755)
        self.command.chmod(0o755)

    def build(self) -> Path:
        return find_environment(self.folders) or build_environment(self.folders, self.command, patience=TWICE)

    def calls(self) -> list[str]:
        calls = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return calls


@pytest.fixture
def conda(tmp_path: Path) -> Conda:
    return Conda(tmp_path)


def steps(calls: list[str]) -> list[str]:
    return [" ".join(call.split()[:3]) for call in calls if "pip config" not in call]


BY_UV = ["conda env create", "python -m pip", "uv pip install", "python -c from"]


def test_it_is_built_once(conda: Conda) -> None:
    python = conda.build()
    assert python == conda.folders.conda / "envs/ldm/bin/python"
    assert steps(conda.calls()) == BY_UV
    assert conda.build() == python
    assert conda.calls() == []


@pytest.mark.parametrize("name", ["environment.yaml", "requirements.txt"])
def test_a_changed_definition_is_built_anew(conda: Conda, name: str) -> None:
    conda.build()
    conda.calls()
    with (conda.definition / name).open("a") as file:
        file.write("# changed\n")
    conda.build()
    assert steps(conda.calls()) == BY_UV


def test_an_interrupted_build_is_removed_and_built_anew(conda: Conda) -> None:
    left = conda.folders.conda / "envs/ldm/bin"
    left.mkdir(parents=True)
    (left / "python").write_text("half")
    assert conda.build().read_text() != "half"


def test_uv_takes_what_is_pinned_from_the_mirror_that_pip_was_told_of(conda: Conda) -> None:
    (conda.folder / "pip-config").write_text(
        ":env:.trusted-host='10.9.8.7 mirror'\n:env:.index-url='http://10.9.8.7/simple'\n"
        "global.extra-index-url='\\nhttp://a/simple\\nhttp://b/simple'\nglobal.index-url='http://other/simple'\n"
        "global.retries='3'\nERROR: nothing of ours\n"
    )
    conda.build()
    (call,) = [call for call in conda.calls() if call.startswith("uv ")]
    for word in ("--require-hashes", "--no-deps", "--only-binary :all:", "requirements.txt"):
        assert word in call
    assert (conda.folder / "uv-settings").read_text().splitlines() == [
        "UV_DEFAULT_INDEX=http://10.9.8.7/simple",
        "UV_HTTP_RETRIES=10",
        "UV_INDEX=http://a/simple http://b/simple",
        "UV_INSECURE_HOST=10.9.8.7 mirror",
    ]
    assert not (conda.folders.fetched / "downloads").exists()


def test_what_an_image_says_of_uv_itself_comes_first(conda: Conda, monkeypatch: pytest.MonkeyPatch) -> None:
    (conda.folder / "pip-config").write_text(":env:.index-url='http://10.9.8.7/simple'\n")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://for-uv/simple")
    conda.build()
    assert "UV_DEFAULT_INDEX=http://for-uv/simple\n" in (conda.folder / "uv-settings").read_text()


@pytest.mark.parametrize("broken", ["no-uv", "break-uv"])
def test_where_uv_does_not_serve_pip_does(conda: Conda, broken: str) -> None:
    """Also when pip needs a second attempt; the interpreter is not made again."""
    (conda.folder / broken).touch()
    (conda.folder / "break-pip").touch()
    conda.build()
    by_uv = [] if broken == "no-uv" else ["uv pip install"]
    called = steps(conda.calls())
    assert called == ["conda env create", "python -m pip", *by_uv, "python -m pip", "python -m pip", "python -c from"]


def test_a_full_disk_is_told_with_what_to_do(conda: Conda) -> None:
    (conda.folder / "break-uv").touch()
    python = conda.folder / "python"
    python.write_text(python.read_text().replace("connection broken", "OSError: [Errno 28] No space left on device"))
    (conda.folder / "break-pip").mkdir()  # which `rm` leaves
    with pytest.raises(StepError, match="No space left on device. Deploy again with a larger VolumeSize"):
        conda.build()


def test_an_environment_that_does_not_import_is_not_taken_for_whole(conda: Conda) -> None:
    (conda.folder / "break-import").touch()
    with pytest.raises(StepError, match="ldm could not be built.*ImportError: libcuda"):
        conda.build()
    (conda.folder / "break-import").unlink()
    conda.calls()
    conda.build()
    assert steps(conda.calls()) == BY_UV


class Takes(Cache):
    """A cache that has an environment whose interpreter says `missing` of the packages that it is asked for."""

    def __init__(self, conda: Conda, bucket: str, missing: str) -> None:
        super().__init__(Bucket(bucket), conda.folders.cache_notes)
        self._conda = conda
        self._missing = missing

    def take_folder(self, key: str, folder: Path, user: object) -> bool:
        built = build_environment(self._conda.folders, self._conda.command)
        built.write_text(f"#!/bin/bash\necho {self._missing}\n")
        self._conda.calls()
        self._note(Entry(key, str(folder), State.KEPT))
        return True


@pytest.mark.parametrize(
    ("missing", "state", "built"),
    [
        ("", State.KEPT, False),
        ("torch", State.BROKEN, True),
        ("; exit 1", State.BROKEN, True),
        ("$(seq 100000)", State.BROKEN, True),
    ],
)
def test_an_environment_from_the_cache_has_to_serve(
    conda: Conda,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    missing: str,
    state: State,
    built: bool,
) -> None:
    def build(*module: str, **options: object) -> int:
        build_environment(conda.folders, conda.command)
        return 0

    monkeypatch.setattr("userdata.boot.steps.environment.run_apart", build)
    provide_environment(given_machine(conda.folder, cache=Takes(conda, "results", missing)))
    assert bool(conda.calls()) is built
    assert [entry.state for entry in read_notes(conda.folders.cache_notes)] == [state]
    assert "99999" not in caplog.text


def test_an_interpreter_of_the_image_with_everything_is_used() -> None:
    assert use_interpreter(sys.executable, None) == Path(sys.executable)


def test_compiled_kernels_are_bound_to_the_torch_of_the_image_s_interpreter(tmp_path: Path) -> None:
    machine = given_machine(tmp_path, {"SD_PYTHON": sys.executable})
    assert f"('torch', '{version('torch')}')" in interpreter_key(machine, Path(sys.executable))


def test_an_interpreter_of_the_image_that_lacks_packages_names_them(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/bash\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(StepError, match=r"lacks torch, diffusers, .*pydantic\. Install userdata/requirements.txt"):
        use_interpreter(str(bare), None)


def test_an_interpreter_of_the_image_that_is_not_there_is_named() -> None:
    with pytest.raises(StepError, match="SD_PYTHON=/no/such/python does not run"):
        use_interpreter("/no/such/python", None)


@pytest.mark.parametrize(
    ("says", "message"), [("echo", "no usable GPU"), ("echo libcudart is missing >&2; exit 1", "libcudart is missing")]
)
def test_a_gpu_that_torch_cannot_use_is_told(tmp_path: Path, says: str, message: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/bash\n{says}\n")
    python.chmod(0o755)
    with pytest.raises(StepError, match=message):
        check_gpu(python, None)
