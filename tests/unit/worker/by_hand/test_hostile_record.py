"""A PNG comes from anywhere, and its record may say anything: a replay refuses it with the reason, loading nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from scripts.command_line.results.replay import parameters_for, read_record, replay_here
from scripts.command_line.terminal.command_error import CommandError
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import RECORD_CHUNK, describe_image
from userdata.worker.by_hand import local_model
from userdata.worker.by_hand.replay import differences

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def record() -> dict[str, Any]:
    job = Job(model="tiny", H=64, W=64, ddim_steps=2)
    drawn_with = DrawnWith(indices=[0], execution="eager", precision="float32", device="cpu")
    versions = {"diffusers": "0.42.1"}
    requests = image_requests(job)
    whole = describe_image(job, requests, 0, run_id=job.name, seconds=1, drawn_with=drawn_with, versions=versions)
    read: dict[str, Any] = json.loads(whole.to_json())
    return read


def _png(file: Path, text: str) -> Path:
    information = PngInfo()
    information.add_text(RECORD_CHUNK, text)
    Image.new("RGB", (64, 64)).save(file, pnginfo=information)
    return file


@pytest.fixture
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise AssertionError("no model may be looked for")

    monkeypatch.setattr(local_model, "find_local_model", refuse)


ANYWHERE: list[tuple[Change, str]] = [
    (lambda r: r.update(job={}), "it names no model"),
    (lambda r: r["job"].update(model=7), "Model is 7, but must be one of"),
    (lambda r: r["job"].update(ddim_steps=0), "Steps is 0, but must be"),
    (lambda r: r["job"].update(init_img="../../etc/passwd"), "InitImage is '../../etc/passwd', but must be"),
    (lambda r: r.update(index=5), "does not say what it was drawn from"),
    (lambda r: r.update(batch=[]), "of an earlier version"),
    (lambda r: r["batch"][0].update(H=100), "draws no images of 64 × 100"),
    (lambda r: r["batch"][0].update(W=-8), "Width is -8, but must be"),
    (lambda r: r["batch"][0].update(ddim_steps=10**9), "Steps is 1000000000, but must be"),
    (lambda r: r["batch"][0].update(sampler="magic"), "Sampler is 'magic', but must be"),
    (lambda r: r["batch"][0].update(seed=2**70), f"{2**70} is no seed"),
    (lambda r: r["batch"][0].update(seed=-1), "-1 is no seed"),
    (lambda r: r["batch"][0].update(strength=7), "Strength is 7"),
    (lambda r: r["batch"][0].update(scale=float("nan")), "NaN is no finite number"),
    (lambda r: r["batch"][0].update(prompt="\ud800"), "it has half of a character"),
]
HERE: list[tuple[Change, str]] = [
    (lambda r: r["batch"].append({**r["batch"][0], "index": 1, "W": 128}), "differ in more than their texts"),
    (lambda r: r.update(versions={}), "which version of diffusers"),
]


@pytest.mark.usefixtures("_no_model")
@pytest.mark.parametrize(("change", "why"), [*ANYWHERE, *HERE])
def test_a_record_that_no_run_has_written_is_refused_here(
    tmp_path: Path, record: dict[str, Any], change: Change, why: str
) -> None:
    change(record)
    file = _png(tmp_path / "a.png", json.dumps(record))
    with pytest.raises(CommandError) as refusal:
        replay_here(
            file, read_record(file), model="", initial_image=None, loras=[], to=tmp_path / "b.png", console=Console()
        )
    assert why in str(refusal.value)
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize(("change", "why"), ANYWHERE)
def test_a_record_that_no_run_has_written_is_refused_before_a_deploy(
    tmp_path: Path, record: dict[str, Any], change: Change, why: str
) -> None:
    change(record)
    with pytest.raises(CommandError) as refusal:
        parameters_for(read_record(_png(tmp_path / "a.png", json.dumps(record))))
    assert why in str(refusal.value)


def test_a_batch_of_several_sizes_is_not_taken_for_one_job(tmp_path: Path, record: dict[str, Any]) -> None:
    record["batch"].append({**record["batch"][0], "index": 1, "seed": record["seed"] + 1, "W": 128})
    parameters, _ = parameters_for(read_record(_png(tmp_path / "a.png", json.dumps(record))))
    assert (parameters["Samples"], parameters["Width"]) == ("1", "64")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200_000, "nested too deeply"),
        ("null", "does not say what it was made from"),
        ('{"schema": 2}', "its schema is 2, this version knows 1"),
    ],
)
def test_a_text_that_is_no_record_is_told(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        read_record(_png(tmp_path / "a.png", text))


@pytest.mark.usefixtures("_no_model")
def test_the_image_itself_is_never_overwritten(tmp_path: Path, record: dict[str, Any]) -> None:
    """It would be compared with itself, and called identical."""
    file = _png(tmp_path / "a.png", json.dumps(record))
    before = file.read_bytes()
    (tmp_path / "link.png").symlink_to(file)
    for to in (file, tmp_path / "link.png"):
        with pytest.raises(CommandError, match=r"is the image itself, which must stay.*--to FILE"):
            replay_here(file, read_record(file), model="", initial_image=None, loras=[], to=to, console=Console())
    assert file.read_bytes() == before


@pytest.mark.usefixtures("_no_model")
def test_a_place_that_cannot_be_written_is_told_before_the_model_is_loaded(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    file = _png(tmp_path / "a.png", json.dumps(record))
    for to in (tmp_path, file / "b.png"):
        with pytest.raises(CommandError, match="cannot be written"):
            replay_here(file, read_record(file), model="", initial_image=None, loras=[], to=to, console=Console())


@pytest.mark.usefixtures("_no_model")
def test_what_is_no_image_any_more_is_told_before_the_model_is_loaded(tmp_path: Path, record: dict[str, Any]) -> None:
    file = tmp_path / "a.png"
    file.write_text("not a picture")
    file.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(CommandError, match=r"a\.png cannot be read as an image"):
        replay_here(
            file, read_record(file), model="", initial_image=None, loras=[], to=tmp_path / "b.png", console=Console()
        )


def test_a_name_with_brackets_is_told_as_it_is(tmp_path: Path, tiny_model: Path, record: dict[str, Any]) -> None:
    folder = tmp_path / "[red] ["
    folder.mkdir()
    file = _png(folder / "a.png", json.dumps(record))
    console = Console(file=io.StringIO(), width=500)
    to = folder / "b.png"
    model = str(tiny_model)
    replay_here(file, read_record(file), model=model, initial_image=None, loras=[], to=to, console=console)
    assert f"{to}: not identical to {file}." in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_record_cannot_steer_the_terminal(tmp_path: Path, record: dict[str, Any]) -> None:
    record["versions"]["torch"] = "1.0\x1b[2J"
    read = read_record(_png(tmp_path / "a.png", json.dumps(record)))
    assert read.drawn_with
    (told,) = [line for line in differences(read, read.drawn_with) if line.startswith("torch")]
    assert told.startswith("torch was 1.0?[2J, is ")
