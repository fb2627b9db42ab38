from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.command_line.deploying.assembly import KEPT, assembly_options


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "stacks").mkdir(parents=True)
    (root / "userdata").mkdir()
    (root / "app.py").write_text("app")
    (root / "stacks/stack.py").write_text("stack")
    (root / "userdata/boot.sh").write_text("boot")
    return root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "assemblies"


def synthesize(root: Path, place: Path, **context: str) -> bool:
    """What a deploy does; whether it had to synthesize."""
    with assembly_options(context, root=root, place=place) as (option, folder, *rest):
        if option == "--app":
            assert (Path(folder) / "manifest.json").read_text() == str(context)
            assert rest == []
            return False
        assert option == "--output"
        assert rest == [word for name, value in context.items() for word in ("--context", f"{name}={value}")]
        Path(folder).mkdir()
        (Path(folder) / "manifest.json").write_text(str(context))
        return True


def test_the_same_app_is_synthesized_once(root: Path, place: Path) -> None:
    assert synthesize(root, place, zones="2")
    assert not synthesize(root, place, zones="2")
    (root / "stacks/__pycache__").mkdir()
    (root / "stacks/__pycache__/stack.cpython-311.pyc").write_text("compiled")
    (root / "README.md").write_text("not read by the app")
    assert not synthesize(root, place, zones="2")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "stacks/stack.py").write_text("other"),
        lambda root: (root / "userdata/boot.sh").write_text("other"),
        lambda root: (root / "userdata/boot.sh").chmod(0o755),
        lambda root: (root / "userdata/boot.sh").rename(root / "userdata/other.sh"),
        lambda root: (root / "userdata/new.sh").write_text(""),
        lambda root: (root / "cdk.json").write_text("{}"),
        lambda root: (root / "requirements.txt").write_text("aws-cdk-lib==9"),
        lambda root: (root / "package-lock.json").write_text("{}"),
    ],
)
def test_another_app_is_synthesized_anew(root: Path, place: Path, change: Callable[[Path], None]) -> None:
    assert synthesize(root, place)
    change(root)
    assert synthesize(root, place)


def test_so_is_the_same_with_other_context_values(root: Path, place: Path) -> None:
    assert synthesize(root, place, zones="2", az="b")
    assert synthesize(root, place, zones="2")
    assert synthesize(root, place, zones="3")


def test_nothing_is_kept_of_a_deploy_that_failed(root: Path, place: Path) -> None:
    with pytest.raises(RuntimeError), assembly_options({}, root=root, place=place) as (_, folder, *_rest):
        Path(folder).mkdir()
        (Path(folder) / "manifest.json").touch()
        raise RuntimeError
    assert list(place.iterdir()) == []
    assert synthesize(root, place)


def test_two_at_once_each_make_their_own(root: Path, place: Path) -> None:
    with assembly_options({}, root=root, place=place) as (_, folder, *_rest):
        Path(folder).mkdir()
        (Path(folder) / "manifest.json").write_text("{}")
        assert synthesize(root, place)
    assert not synthesize(root, place)
    assert len(list(place.iterdir())) == 1


def test_the_ones_used_last_are_kept(root: Path, place: Path) -> None:
    for number in range(KEPT + 2):
        synthesize(root, place, zones=str(number))
        for folder in place.iterdir():  # an hour passes
            age = folder.stat().st_mtime - 3600
            os.utime(folder, (age, age))
        if number:
            assert not synthesize(root, place, zones="0")
    assert len(list(place.iterdir())) == KEPT
    assert not synthesize(root, place, zones="0")
    assert synthesize(root, place, zones="1")


def test_without_a_place_to_keep_it_the_app_is_synthesized_each_time(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert synthesize(root, tmp_path / "file/assemblies")
    assert synthesize(root, tmp_path / "file/assemblies")
