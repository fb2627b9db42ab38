from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.job.run_error import RunError, Stopped
from userdata.worker.between.task import DrawnImage
from userdata.worker.drawing import drawing, prepared
from userdata.worker.drawing.drawing import Drawing
from userdata.worker.drawing.drawing_hooks import DrawingHooks
from userdata.worker.model.pipeline import load_pipeline

SMALL: dict[str, Any] = {"H": 64, "W": 72, "ddim_steps": 2, "model": "tiny"}


def test_full_memory_halves_the_batch_and_goes_on(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(**SMALL, n_iter=1, n_samples=5)
    pipeline = _pipeline(tiny_model)
    own = pipeline.scheduler
    _limit_memory(pipeline, monkeypatch, images=2)
    drawn = _draw(pipeline, job)
    assert [image.drawn_with.indices for image in drawn] == [[0, 1], [0, 1], [2, 3], [2, 3], [4]]
    assert [image.index for image in drawn] == [0, 1, 2, 3, 4]
    assert "does not suffice for 5 images at once: now 2" in caplog.text
    assert pipeline.scheduler is own, "the next drawing makes its sampler from it"
    usual = _draw(_pipeline(tiny_model), job)
    assert all(_difference(one, other) <= 2 for one, other in zip(drawn, usual, strict=True))


def test_full_memory_with_one_image_is_told_with_the_way_out(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = _pipeline(tiny_model)
    _limit_memory(pipeline, monkeypatch, images=0)
    with pytest.raises(RunError, match=r"does not suffice for one image of 72 × 64 .* smaller Height"):
        _draw(pipeline, Job(**SMALL, n_iter=1, n_samples=2))


def test_image_that_fits_only_in_tiles_is_decoded_in_tiles(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(**{**SMALL, "W": 128}, n_iter=2, n_samples=1)
    pipeline = _pipeline(tiny_model)
    pipeline.vae.tile_sample_min_size, pipeline.vae.tile_latent_min_size = 64, 8
    whole = _draw(pipeline, job)
    assert [image.drawn_with.tiled for image in whole] == [False, False]

    decode = pipeline.vae.decoder.forward

    def decode_small_ones(latents: torch.Tensor, *args: Any) -> Any:
        if latents.shape[-1] > 8:
            raise torch.OutOfMemoryError
        return decode(latents, *args)

    monkeypatch.setattr(pipeline.vae.decoder, "forward", decode_small_ones)
    tiled = _draw(pipeline, job)
    assert [(image.index, image.drawn_with.tiled) for image in tiled] == [(0, True), (1, True)]
    assert "decoded in tiles" in caplog.text
    assert tiled[0].image.size == whole[0].image.size


def test_a_long_prompt_is_drawn_whole_and_apart_and_changes_no_other_image(tiny_model: Path) -> None:
    pipeline = _pipeline(tiny_model)
    encode, encoded = pipeline.text_encoder.forward, []

    def count(*args: Any, **options: Any) -> Any:
        encoded.append(1)
        return encode(*args, **options)

    pipeline.text_encoder.forward = count
    job = Job(**SMALL, n_iter=2, n_samples=2)
    requests = [replace(one, prompt="a horse " * 40 if one.index % 2 else "a (horse)") for one in image_requests(job)]
    drawn = _draw(pipeline, job, requests)
    assert [image.drawn_with.indices for image in drawn] == [[0, 2], [1, 3]] * 2
    assert len(encoded) == 2 * 2, "the prompt and the negative prompt of each kind are encoded once"
    alone = _draw(pipeline, job, [one for one in requests if one.index in (0, 2)])
    assert [_difference(one, other) for one, other in zip(drawn[::2], alone, strict=True)] == [0, 0]


@pytest.mark.parametrize("execution", ["fused", "cuda_graph"])
def test_compiled_kernels_are_remembered_from_the_first_batch_on(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, execution: str
) -> None:
    """A run that is stopped has compiled them too."""
    remembered: list[torch.device] = []
    monkeypatch.setattr(prepared, "choose_execution", lambda *_, **__: execution)
    monkeypatch.setattr(prepared, "executing", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(drawing, "remember_compiled", lambda device, **_: remembered.append(device))
    with pytest.raises(Stopped):
        _draw(_pipeline(tiny_model), Job(**SMALL, n_iter=2, n_samples=1), begin_batch=_once())
    assert remembered == ([torch.device("cpu")] if execution == "fused" else [])


def test_what_follows_counts_for_the_choice_of_how_to_draw(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each unit of a batch is too short for compiled kernels, and all together are not."""
    counted: list[int] = []

    def choose(_pipeline: Any, *, images: int, **_: Any) -> str:
        counted.append(images)
        return "eager"

    monkeypatch.setattr(prepared, "choose_execution", choose)
    pipeline = _pipeline(tiny_model)
    prepared.Prepared().prepare(pipeline, image_requests(Job(**SMALL, n_iter=2, n_samples=1)), asked=1, beside=40)
    assert counted == [42]


def _once() -> Callable[[], None]:
    begun: list[int] = []

    def check() -> None:
        if begun:
            raise Stopped
        begun.append(1)

    return check


def test_images_that_are_drawn_are_saved_whatever_ends_the_drawing(tiny_model: Path) -> None:
    steps = []

    def leave() -> None:
        steps.append(1)
        if len(steps) == 4:  # in the middle of the second batch
            raise Stopped

    saved: list[DrawnImage] = []
    with pytest.raises(Stopped):
        _draw(_pipeline(tiny_model), Job(**SMALL, n_iter=3, n_samples=1), saved=saved, leave_if_asked=leave)
    assert [image.index for image in saved] == [0]


def test_check_before_a_batch_ends_the_drawing_before_it(tiny_model: Path) -> None:
    calls = []

    def no_more_than_one() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise RunError("The money is spent.")

    saved: list[DrawnImage] = []
    with pytest.raises(RunError, match="money"):
        _draw(_pipeline(tiny_model), Job(**SMALL, n_iter=3, n_samples=2), saved=saved, begin_batch=no_more_than_one)
    assert sorted(image.index for image in saved) == [0, 1]


def test_the_images_of_a_batch_are_finished_beside_each_other(tiny_model: Path) -> None:
    both = threading.Barrier(2, timeout=60)

    def meet(image: DrawnImage) -> DrawnImage:
        both.wait()
        return image

    assert len(_draw(_pipeline(tiny_model), Job(**SMALL, n_iter=1, n_samples=2), image_steps=[meet])) == 2


def test_an_image_that_cannot_be_saved_takes_no_other_of_its_batch_along(tiny_model: Path) -> None:
    def fail_first(image: DrawnImage) -> DrawnImage:
        if image.index == 0:
            raise OSError("No space left on device")
        return image

    saved: list[DrawnImage] = []
    with pytest.raises(OSError, match="No space"):
        _draw(_pipeline(tiny_model), Job(**SMALL, n_iter=1, n_samples=3), saved=saved, image_steps=[fail_first])
    assert sorted(image.index for image in saved) == [1, 2]


def test_failing_save_ends_the_drawing(tiny_model: Path) -> None:
    def fail(_: DrawnImage) -> DrawnImage:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        _draw(_pipeline(tiny_model), Job(**SMALL, n_iter=5, n_samples=1), image_steps=[fail])


def test_image_is_finished_while_the_next_batch_is_drawn(tiny_model: Path) -> None:
    """The save of the first image waits until the second batch is begun, which it could not if nothing overlapped."""
    second_begun = threading.Event()
    batches = []

    def begun() -> None:
        batches.append(1)
        if len(batches) == 2:
            second_begun.set()

    def wait(image: DrawnImage) -> DrawnImage:
        assert second_begun.wait(timeout=60)
        return image

    job = Job(**SMALL, n_iter=2, n_samples=1)
    assert len(_draw(_pipeline(tiny_model), job, begin_batch=begun, image_steps=[wait])) == 2


def _pipeline(model: Path) -> Any:
    return load_pipeline(model, layout="", device=torch.device("cpu"), from_image=False)


def _draw(
    pipeline: Any,
    job: Job,
    requests: Sequence[ImageRequest] = (),
    *,
    saved: list[DrawnImage] | None = None,
    **hooks: Any,
) -> list[DrawnImage]:
    saved = [] if saved is None else saved
    Drawing(
        pipeline,
        job,
        requests or image_requests(job),
        total=job.images_total,
        initial_image=None,
        hooks=DrawingHooks(saved.append, **hooks),
    ).do()
    return sorted(saved, key=lambda image: image.index)


def _limit_memory(pipeline: Any, monkeypatch: pytest.MonkeyPatch, *, images: int) -> None:
    """The U-Net takes at most `images` images, with both halves of their guidance."""
    forward = pipeline.unet.forward

    def limited(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if len(sample) > 2 * images:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(sample, *args, **kwargs)

    monkeypatch.setattr(pipeline.unet, "forward", limited)


def _difference(one: DrawnImage, other: DrawnImage) -> int:
    return int(abs(numpy.asarray(one.image).astype(int) - numpy.asarray(other.image).astype(int)).max())
