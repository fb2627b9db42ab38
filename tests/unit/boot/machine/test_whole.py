import os
from pathlib import Path

import pytest

from userdata.boot.machine.whole import MARK, is_whole, mark_whole


def test_a_folder_is_whole_once_it_is_marked_and_of_what_it_was_made_of(tmp_path: Path) -> None:
    assert not is_whole(tmp_path, "recipe")
    mark_whole(tmp_path, "an older recipe")
    mark_whole(tmp_path, "recipe")
    assert is_whole(tmp_path, "recipe")
    assert not is_whole(tmp_path, "another recipe")


def test_root_follows_no_link_in_the_place_of_a_mark_and_waits_for_no_pipe(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("recipe\n")
    (tmp_path / MARK).symlink_to(elsewhere)
    assert not is_whole(tmp_path, "recipe")
    mark_whole(tmp_path, "hacked")
    assert elsewhere.read_text() == "recipe\n"
    (tmp_path / MARK).unlink()
    os.mkfifo(tmp_path / MARK)
    assert not is_whole(tmp_path, "recipe")


def test_a_link_that_comes_between_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / MARK).symlink_to(elsewhere)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: None)
    with pytest.raises(FileExistsError):
        mark_whole(tmp_path, "hacked")
    assert elsewhere.read_text() == "untouched"
