"""The images of a batch by the names that a person gave them, and a run's images as one ZIP and one CSV."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.command_line.results import together
from scripts.command_line.results.download import LeftOut
from scripts.command_line.results.names import Names, named_files
from scripts.command_line.results.written import written_whole
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.batches.conftest import RUN, Somebody, somebody
from userdata.batch.unit import UnitImage
from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import ImageRecord

__all__ = ["somebody"]
SAMPLES = f"{RUN}/txt2img-samples/samples"


def test_names_are_each_images_own_whatever_the_units_say() -> None:
    names = Names(sqlite3.connect(""))
    given = ["cat", "Cat", None, "00001", "cat-00001", "cat"]
    for index, name in enumerate(given):
        names.add(UnitImage(index=index, given={}, name=name))
    names.add(UnitImage(index=0, given={}, name="again"))
    found = [names[index] for index in range(7)]
    assert found == ["cat", "Cat-00001", "00002", "00001-00003", "cat-00001-00004", "cat-00005", "00006"]
    assert len({name.casefold() for name in found}) == 7


def test_a_batch_is_downloaded_by_its_names_and_once(somebody: Somebody, tmp_path: Path) -> None:
    somebody.ask("sleepy cat", None, "CAT", "cat")
    somebody.draw(0, 1, 2)
    somebody.account.put(somebody.keys.samples_folder + "samples/../../x.txt", b"")
    somebody.account.put(somebody.keys.units(0), somebody.read(somebody.keys.units(0)) + b'{"half\n')
    fetched: list[str] = []
    somebody.account.session.events.register(
        "before-call.s3.GetObject", lambda params, **_: fetched.append(params["url_path"])
    )
    said = somebody.sd("results", RUN, "--to", str(tmp_path))
    assert f"6 images -> {tmp_path / SAMPLES}" in said
    here = {path.name: path.read_bytes() for path in (tmp_path / SAMPLES).iterdir()}
    assert sorted(name for name in here if name.endswith(".png")) == [
        "00001.png", "00004.png", "00005.png", "CAT.png", "cat-00003.png", "sleepy cat.png",
    ]  # fmt: skip
    assert here["cat-00003.png"][-1] == 3
    assert here["cat-00003.json"] == b"{}"
    assert len([path for path in fetched if "samples" in path]) == 12
    fetched.clear()
    (tmp_path / SAMPLES / "CAT.png").write_bytes(b"cut off")
    somebody.sd("results", RUN, "--to", str(tmp_path))
    assert [path for path in fetched if "samples" in path] == [f"/{somebody.keys.image(2)}"]


def test_a_run_of_an_odd_name_writes_nothing_outside_the_folder(somebody: Somebody, tmp_path: Path) -> None:
    somebody.account.put("runs/../txt2img-samples/samples/00000.png", b"x")
    left_out, account = LeftOut(), somebody.account
    names = Names(sqlite3.connect(""))
    assert list(named_files(account.s3, account.bucket, "..", tmp_path, names, left_out)) == []
    with pytest.raises(CommandError, match="leads elsewhere"):
        left_out.tell()


def record(index: int, **job: Any) -> bytes:
    made = Job(prompt="a cat", **job)
    request = ImageRequest(
        index=index, seed=42 + index, prompt=made.prompt, negative_prompt=made.negative_prompt, H=64, W=64,
        ddim_steps=5, scale=-1.5, sampler=str(made.sampler), strength=0.75, loras={"ink": 0.5},
    )  # fmt: skip
    return ImageRecord(
        run_id=RUN, file=f"{index:05}.png", index=index, seed=42 + index, seconds=1.5, created_at="2026-01-01",
        job=made.model_dump(), versions={}, flagged=False, batch=[request],
        drawn_with=DrawnWith(indices=[index], execution="eager", precision="float32", device="NVIDIA L4"),
    ).to_json()  # fmt: skip


def test_a_run_becomes_one_zip_and_one_csv(somebody: Somebody, tmp_path: Path) -> None:
    somebody.ask("one 1+1", "two")
    somebody.draw(0)
    somebody.put(somebody.keys.image_metadata(0), record(0, negative_prompt='=HYPERLINK("http://x");+1;a'))
    somebody.put(somebody.keys.image_metadata(1), record(1).replace(b"a cat", rb"\ud83d"))
    said = " ".join(somebody.sd("results", RUN, "--zip", "--csv", "--to", str(tmp_path)).split())
    assert "2 rows. Of 1 the JSON cannot be read" in said
    with zipfile.ZipFile(tmp_path / f"{RUN}.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{RUN}/one 1+1.png", f"{RUN}/two.png"]
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read(f"{RUN}/two.png") == somebody.read(somebody.keys.image(1))
    with (tmp_path / f"{RUN}.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["name"], first["file"], first["prompt"], first["seed"]) == ("one 1+1", "one 1+1.png", "a cat", "42")
    assert first["negative_prompt"] == """'=HYPERLINK("http://x");'+1;a"""
    assert (first["scale"], first["device"], first["flagged"]) == ("-1.5", "NVIDIA L4", "False")
    assert set(Job.model_fields) <= set(first)
    assert (second["name"], second["prompt"]) == ("two", "")
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def test_a_whole_run_has_them_too(somebody: Somebody, tmp_path: Path) -> None:
    somebody.account.put_run("a-horse-0123456789", images=3)
    somebody.sd("results", "a-horse", "--zip", "--csv", "--to", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "a-horse-0123456789.zip") as archive:
        assert archive.namelist() == [f"a-horse-0123456789/0000{n}.png" for n in range(3)]
    assert len((tmp_path / "a-horse-0123456789.csv").read_text().splitlines()) == 4


def test_a_disk_that_is_full_leaves_what_was_there_and_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run.csv"
    target.write_text("before")

    def full(_: Path) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(together, "_guarded", full)
    with pytest.raises(CommandError, match="Could not write .*run.csv: No space left on device. Name another folder"):
        together.write_csv(target, iter([tmp_path / "a.png"]))
    with pytest.raises(KeyboardInterrupt), written_whole(target) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_what_a_killed_call_left_of_a_file_goes_with_the_next_one(tmp_path: Path) -> None:
    killed = f"""
import os, pathlib
from scripts.command_line.results.written import written_whole
with written_whole(pathlib.Path({str(tmp_path)!r}, "a.zip")) as part:
    part.write_text("half")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -9
    assert len([*tmp_path.rglob("a.zip*")]) == 1
    with written_whole(tmp_path / "b.csv") as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


def test_what_the_json_says_is_neither_believed_nor_unbounded(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    bad = [b"", b"null", json.dumps({"schema": 1}).encode(), record(0) + b" " * together.MOST_RECORD_BYTES]
    for content in bad:
        image.with_suffix(".json").write_bytes(content)
        assert together.write_csv(tmp_path / "run.csv", iter([image])) == (1, 1)
