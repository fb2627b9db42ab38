"""A file that has its name is whole, whatever interrupted its writing."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from userdata.contract.atomic_file import put_in_place, write_atomically


def test_a_file_is_written_into_a_folder_that_is_made_and_replaced_there(tmp_path: Path) -> None:
    file = tmp_path / "new/folder/status.json"
    for content in (b"first", b"second"):
        write_atomically(file, content)
        assert file.read_bytes() == content
    assert list(file.parent.iterdir()) == [file]


def test_of_two_that_write_a_file_at_once_one_is_there_whole(tmp_path: Path) -> None:
    """As two commands do that begin together in one folder."""
    file, contents = tmp_path / "status.json", [bytes([number]) * 100_000 for number in range(8)]

    def write_often(content: bytes) -> None:
        for _ in range(50):
            write_atomically(file, content)
            assert file.read_bytes() in contents

    with ThreadPoolExecutor(len(contents)) as threads:
        for done in [threads.submit(write_often, content) for content in contents]:
            done.result()
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_leaves_the_older_file_and_nothing_of_the_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "status.json"
    write_atomically(file, b"older")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, b"newer")
    assert file.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [file]


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, file = tmp_path / "weights.part", tmp_path / "weights"
    part.write_bytes(b"weights")
    named: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _descriptor: named.append(file.exists()))
    put_in_place(part, file)
    assert named == [False]
    assert file.read_bytes() == b"weights"
