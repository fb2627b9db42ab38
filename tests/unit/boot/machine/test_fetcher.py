import os
import pwd
from pathlib import Path

import pytest

from userdata.boot.machine import fetcher as module
from userdata.boot.machine.commands import MOST_QUOTED, User
from userdata.boot.machine.fetcher import fetcher, run_apart
from userdata.boot.machine.step_error import StepError
from userdata.contract.layout import Folders

PROGRAM = """
import sys
from userdata.boot.machine.fetcher import main_apart
from userdata.boot.machine.step_error import StepError

def action():
    if sys.argv[1] == "shouts":
        raise StepError("the disk is full" + "\\0" * 50_000)
    if sys.argv[1] == "fails":
        raise StepError("the disk is full. Deploy again.")
    return int(sys.argv[1])

sys.exit(main_apart(action))
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that is run apart."""
    (tmp_path / "apart.py").write_text(PROGRAM)
    monkeypatch.setattr(module, "CODE", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    return "apart"


def test_a_step_that_is_run_apart_fails_with_its_own_words(program: str) -> None:
    with pytest.raises(StepError, match=r"^the disk is full\. Deploy again\.$"):
        run_apart(program, "fails", seconds=60, user=None)
    with pytest.raises(StepError, match="^the disk is full") as told:
        run_apart(program, "shouts", seconds=60, user=None)
    assert str(told.value).isprintable()
    assert len(str(told.value)) <= MOST_QUOTED
    assert [run_apart(program, code, seconds=60, user=None) for code in ("0", "3")] == [0, 3]


def test_below_a_prefix_there_is_one_user_for_everything(tmp_path: Path) -> None:
    assert fetcher(Folders(str(tmp_path))) is None


def test_root_gives_up_its_rights_its_home_and_its_temporary_files() -> None:
    user = User("nobody", Path("/var/tmp/of-its-own"))
    words = user.words(["id", "--user"])
    assert words[0] == "setpriv"
    assert {"--reuid=nobody", "--regid=nobody", "--clear-groups", "--no-new-privs", "--bounding-set=-all"} < set(words)
    assert {user.environment[name] for name in ("HOME", "TMPDIR")} == {"/var/tmp/of-its-own"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_what_somebody_else_has_is_removed_and_given_anew(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "conda", tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "of root").touch()
    elsewhere.mkdir()
    module.give(folder, User("nobody", tmp_path))
    assert list(folder.iterdir()) == []
    owner = folder.stat().st_uid
    assert owner != 0
    (folder / "of its own").touch()
    module.give(folder, User("nobody", tmp_path))
    assert [file.name for file in folder.iterdir()] == ["of its own"]
    folder.rename(tmp_path / "moved")
    folder.symlink_to(elsewhere)
    with pytest.raises(StepError, match="conda is a link"):
        module.give(folder, User("nobody", tmp_path))
    assert elsewhere.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_what_root_has_fetched_goes_with_its_folder_and_nothing_outside(tmp_path: Path) -> None:
    models, outside, named_twice = tmp_path / "models", tmp_path / "outside", tmp_path / "named twice"
    weights, linked = models / "xl/model.safetensors", models / "xl/linked"
    weights.parent.mkdir(parents=True)
    weights.write_text("weights")
    for one in (outside, named_twice):
        one.touch()
    (models / "xl/out").symlink_to(outside)
    linked.hardlink_to(named_twice)
    module.give(models, User("nobody", tmp_path), keep=True)
    owner = pwd.getpwnam("nobody").pw_uid
    assert {path.lstat().st_uid for path in (models, weights.parent, weights, models / "xl/out")} == {owner}
    assert {path.stat().st_uid for path in (outside, named_twice)} == {0}
    assert weights.read_text() == "weights"
