from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from userdata.job.run_error import RunError
from userdata.record.image_metadata import record_in_png
from userdata.worker.by_hand.local_model import LocalModel, find_local_model
from userdata.worker.by_hand.output_folder import OutputFolder
from userdata.worker.by_hand.script_call import main
from userdata.worker.by_hand.script_options import Script, job_of, read_options

SMALL = ["--H", "64", "--W", "64", "--ddim_steps", "2", "--n_samples", "1"]


def test_defaults_are_the_originals() -> None:
    options = read_options("txt2img", [])
    job = job_of("txt2img", options, model="tiny", size=None)
    assert options.outdir == "outputs/txt2img-samples"
    assert (job.ddim_steps, job.n_iter, job.n_samples, job.H, job.W, job.scale, job.seed, str(job.sampler)) == (
        50, 2, 3, 512, 512, 7.5, 42, "ddim",
    )  # fmt: skip
    options = read_options("img2img", ["--init-img", "x.png"])
    job = job_of("img2img", options, model="tiny", size=(96, 64))
    assert options.outdir == "outputs/img2img-samples"
    assert (job.ddim_steps, job.n_iter, job.n_samples, job.H, job.W, job.scale, job.strength) == (
        50, 1, 2, 64, 96, 5.0, 0.75,
    )  # fmt: skip


def test_a_seed_left_to_chance_and_a_samplers_name_elsewhere_are_taken() -> None:
    options = read_options("txt2img", ["--seed", "-1", "--sampler", "Euler a"])
    job = job_of("txt2img", options, model="tiny", size=None)
    assert (job.seed, str(job.sampler)) == (-1, "euler_a")


def test_files_are_counted_on_and_never_overwritten(tiny_model: Path, tmp_path: Path) -> None:
    call = ["--ckpt", str(tiny_model), "--outdir", str(tmp_path / "out"), "--n_iter", "2", *SMALL]
    assert main("txt2img", call) == 0
    (tmp_path / "out/samples/00000.png").unlink()
    kept = (tmp_path / "out/samples/00001.png").read_bytes()
    assert main("txt2img", [*call, "--plms", "--skip_grid"]) == 0
    assert _files(tmp_path / "out") == ["grid-0000.png", "samples/00001.png", "samples/00002.png", "samples/00003.png"]
    assert (tmp_path / "out/samples/00001.png").read_bytes() == kept
    record = record_in_png((tmp_path / "out/samples/00003.png").read_bytes())
    assert (record.request.sampler, record.seed, record.checkpoint) == ("plms", 43, "tiny")
    assert OutputFolder(tmp_path / "out").grid.name == "grid-0001.png"


def test_prompt_file_and_grid_only(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a horse\na tree --W 128\na house\n")
    call = ["--from-file", str(tmp_path / "prompts.txt"), "--n_iter", "1", "--n_rows", "2", "--skip_save", *SMALL]
    call += ["--seed", "-1"]
    assert main("txt2img", [*call, "--ckpt", str(tiny_model), "--outdir", str(tmp_path / "out")]) == 0
    assert _files(tmp_path / "out") == ["grid-0000.png"]
    assert Image.open(tmp_path / "out/grid-0000.png").size == (2 * 130 + 2, 2 * 66 + 2)


def test_image_to_image_has_its_images_size(tiny_model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (100, 70), "red").save(tmp_path / "red.png")
    call = ["--init-img", str(tmp_path / "red.png"), "--n_samples", "1", "--ddim_steps", "2", "--strength", "1.0"]
    assert main("img2img", [*call, "--ckpt", str(tiny_model), "--outdir", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out/samples/00000.png").size == (96, 64)

    Image.linear_gradient("L").resize((100, 70)).save(tmp_path / "mask.png")
    call += ["--init-mask", str(tmp_path / "mask.png"), "--ckpt", str(tiny_model), "--outdir", str(tmp_path / "out")]
    assert main("img2img", call) == 0
    masked = Image.open(tmp_path / "out/samples/00001.png").convert("RGB")
    assert masked.crop((0, 0, 96, 3)).getcolors() == [(96 * 3, (255, 0, 0))]
    assert len(masked.crop((0, 50, 96, 64)).getcolors(10**6) or ()) > 9
    Image.new("L", (100, 70)).save(tmp_path / "mask.png")
    assert main("img2img", call) == 1


@pytest.mark.parametrize(
    ("script", "words", "why"),
    [
        ("txt2img", ["--laion400m"], "--laion400m is for a model that is not supported"),
        ("txt2img", ["--C", "5"], "argument --C: invalid choice: '5'"),
        ("txt2img", ["--config", "other.yaml"], "argument --config: invalid choice"),
        ("txt2img", ["--skip_save", "--skip_grid"], "leave nothing to save"),
        ("txt2img", ["--plms", "--dpm_solver"], "not allowed with argument"),
        ("txt2img", ["--stepz", "3"], "unrecognized arguments: --stepz"),
        ("txt2img", ["--ddim_steps", "many"], "--ddim_steps is 'many', but must be a whole number from 1 to 1000"),
        ("txt2img", ["--plms", "--ddim_eta", "1"], "Eta is 1, but must be 0 for Sampler plms"),
        ("img2img", [], "required: --init-img"),
        ("img2img", ["--laion400m"], "required: --init-img"),
    ],
)
def test_misuse_is_told_in_a_sentence(
    script: Script, words: list[str], why: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(script, ["--ckpt", str(tiny_model), *words])
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--ckpt", "no-such-model"], "There is no model no-such-model"),
        (["--from-file", "missing.txt"], "--from-file is 'missing.txt', which cannot be read"),
        (["--from-file", "broken.txt"], "Line 2: --steps is 'x', but must be"),
        (["--ckpt", "none.ckpt"], "none.ckpt is no checkpoint that can be used"),
        (["--ckpt", "m" * 5000], "cannot be looked for: File name too long"),
        (["--skip_save", "--n_iter", "1000"], "Take --skip_save out, or ask for fewer images"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    words: list[str],
    why: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SD_PREFIX", str(tmp_path))
    (tmp_path / "broken.txt").write_text("a\nb --steps x\n")
    (tmp_path / "none.ckpt").write_bytes(b"<html>")
    assert main("txt2img", ["--ckpt", str(tiny_model), *words]) == 1
    assert why in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("outdir", ["file", "file/below"])
def test_a_folder_that_cannot_be_is_refused_before_the_model_is_loaded(
    outdir: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(LocalModel, "load", load)
    (tmp_path / "file").touch()
    assert main("txt2img", ["--ckpt", str(tiny_model), "--outdir", str(tmp_path / outdir), *SMALL]) == 1
    assert "is no folder, or may not be written to" in capsys.readouterr().err


def test_words_that_the_model_does_not_read_are_told(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call = [
        "--prompt",
        "a AND {b|c}" + " horse" * 100,
        "--n_iter",
        "1",
        "--ckpt",
        str(tiny_model),
        "--outdir",
        str(tmp_path / "out"),
    ]
    assert main("txt2img", [*call, *SMALL]) == 0
    assert "Prompt has AND, {b|c}: other programs would compose, choose or replace" in caplog.text


def test_without_a_model_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SD_PREFIX", str(tmp_path))
    assert main("txt2img", []) == 1
    assert "This machine has no model of a deploy. Name one" in capsys.readouterr().err


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))


def test_a_person_without_a_home_is_told_so_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "below"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="your home directory does not take it .* Set HOME to a folder of yours"):
        find_local_model("tiny")
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(RunError, match="Could not determine home directory"):
        find_local_model("tiny")
    assert find_local_model("demo").name == "demo"


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")
