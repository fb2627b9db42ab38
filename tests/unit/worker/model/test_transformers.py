"""Today's models of transformers, only narrower, in the files that the hub has: they load, draw, read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image, ImageChops

from benchmarks.peers.random_files import Weights, save_weights, write_shards, write_tokenizers
from benchmarks.peers.random_model import narrow_bundle
from benchmarks.peers.works import NARROW
from tests.unit.worker.model.test_other_layouts import CPU, component
from userdata.boot.steps.model_folder import complete_model_folder
from userdata.contract.bundle import Bundle
from userdata.contract.catalogue import read_catalogue
from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.drawing.generate import begin_batch, draw_batch, prepare_sampler
from userdata.worker.drawing.prepared import Prepared
from userdata.worker.drawing.tell_of_prompts import tell_what_is_cut
from userdata.worker.model.pipeline import for_image_to_image, load_pipeline

NAMES = ("flux2-klein", "z-image-turbo", "z-image", "chroma")


def hubs_files(
    name: str, bundle: Bundle, folder: Path, *, save: Callable[[Weights, Path], None] = save_weights
) -> dict[str, Any]:
    """Writes random weights into exactly the files that the catalogue lists, and returns the parts that they are of."""
    model = read_catalogue()[name]
    parts = {part: component(bundle.models, name, part) for part in NARROW[name]}
    for part, network in parts.items():
        write_shards(model, part, network, folder, save=save)
    write_tokenizers(model, folder, bundle)
    return parts


@pytest.fixture(scope="module", params=NAMES)
def drawn_with(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """The model's name and its pipeline, loaded as the boot leaves the folder."""
    name, root = request.param, tmp_path_factory.mktemp(request.param)
    bundle, folder = narrow_bundle(root), root / "model"
    parts = hubs_files(name, bundle, folder)
    complete_model_folder(folder, bundle, name)
    pipeline = load_pipeline(folder, layout=name, device=CPU, from_image=False)
    for part, network in parts.items():
        loaded = getattr(pipeline, part).state_dict()
        assert all(torch.equal(loaded[key], tensor) for key, tensor in network.state_dict().items()), part
    yield name, pipeline


def draw(pipeline: Any, job: Job, requests: list[ImageRequest], image: Image.Image | None = None) -> list[Image.Image]:
    prepare_sampler(pipeline, requests[0], pipeline.scheduler.config, from_image=image is not None)
    drawn = draw_batch(pipeline, job, requests, initial_image=image, on_step=lambda _: None)
    assert {one.image.size for one in drawn} == {(64, 64)}
    return [one.image for one in drawn]


def difference(one: Image.Image, other: Image.Image) -> int:
    return int(numpy.asarray(ImageChops.difference(one, other)).max())


def one(name: str, **fields: Any) -> tuple[Job, list[ImageRequest]]:
    """A job for one small image of the model, and what the image is drawn from."""
    job = Job(model=name, H=64, W=64, n_iter=1, n_samples=1, **{"ddim_steps": 2, **fields})
    return job, image_requests(job)


def test_images_drawn_together_are_those_drawn_alone(drawn_with: tuple[str, Any]) -> None:
    name, pipeline = drawn_with
    negative = {"negative_prompt": "a a"} if read_catalogue()[name].guided else {}
    jobs = [one(name, prompt="a horse"), one(name, seed=7, prompt="a" + " horse" * 9, **negative)]
    requests = [request for _, (request,) in jobs]
    together = draw(pipeline, jobs[0][0], requests)
    alone = [draw(pipeline, job, [request])[0] for job, (request,) in jobs]
    assert difference(*alone) > 1
    assert max(difference(*pair) for pair in zip(together, alone, strict=True)) <= 1


def test_each_text_that_a_model_reads_changes_its_image(drawn_with: tuple[str, Any]) -> None:
    name, pipeline = drawn_with
    guided = read_catalogue()[name].guided
    texts = [{"prompt": "a horse"}, {"prompt": "a a a"}, *[{"prompt": "a horse", "negative_prompt": "a"}] * guided]
    images = [draw(pipeline, *one(name, **text))[0] for text in texts]
    assert all(difference(images[0], other) > 0 for other in images[1:])
    if guided:  # 1 switches the guidance off, whatever the pipeline makes of it
        plain, with_negative = (draw(pipeline, *one(name, **texts[index], scale=1))[0] for index in (0, 2))
        assert difference(plain, with_negative) == 0


def test_as_many_steps_are_drawn_as_are_asked_for(drawn_with: tuple[str, Any]) -> None:
    """The card of Z-Image-Turbo asks for 9 steps, because older versions of diffusers drew one less."""
    name, pipeline = drawn_with
    job, requests = one(name, ddim_steps=8, **({"scale": 1} if read_catalogue()[name].guided else {}))
    drawn: list[object] = []
    counted = pipeline.transformer.register_forward_hook(lambda *_: drawn.append(1))
    draw(pipeline, job, requests)
    counted.remove()
    assert len(drawn) == 8
    assert float(pipeline.scheduler.timesteps[-1]) > 0  # none of them is spent on what is finished


def test_what_is_cut_off_is_told(drawn_with: tuple[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    name, pipeline = drawn_with
    (request,) = one(name)[1]
    texts = {count: [replace(request, prompt="a" + " a" * count)] for count in (100, 600)}
    tell_what_is_cut(pipeline, texts[100])
    assert not caplog.messages
    tell_what_is_cut(pipeline, texts[600])
    (message,) = caplog.messages
    assert message.startswith("Prompt is longer than the model reads (512 tokens); cut off: ")
    lost = message.partition("cut off: ")[2].count("a")
    # T5 takes a token for each word here and one for the end; Qwen one for each letter, and the beginning of its turn.
    assert lost == (601 - 511 if name == "chroma" else -(-(1 + 2 * 600 - (512 - 6)) // 2))


def test_image_to_image_is_what_the_catalogue_says(drawn_with: tuple[str, Any]) -> None:
    name, pipeline = drawn_with
    if not read_catalogue()[name].image_to_image:
        with pytest.raises(RunError, match="starts from none"):
            for_image_to_image(pipeline)
        return
    images = [Image.new("RGB", (64, 64), colour) for colour in ("black", "white")]
    other = for_image_to_image(pipeline)
    drawn = [draw(other, *one(name, strength=0.5), image)[0] for image in images]
    assert difference(*drawn) > 0


def test_a_run_encodes_its_texts_before_they_are_wanted(drawn_with: tuple[str, Any]) -> None:
    """In a run, as by itself; and a text that was encoded ahead is not encoded again."""
    name, pipeline = drawn_with
    jobs = [one(name, prompt=prompt) for prompt in ("a horse", "a a", "horse")]
    requests = [request for _, (request,) in jobs]
    alone = [draw(pipeline, job, [request])[0] for job, (request,) in jobs]
    encoded: list[object] = []
    counted = pipeline.text_encoder.register_forward_hook(lambda *_: encoded.append(1))
    prepared = Prepared()
    prepared.prepare(pipeline, requests, asked=1)
    for (job, (request,)), expected in zip(jobs, alone, strict=True):
        prepare_sampler(pipeline, request, pipeline.scheduler.config)
        pending = begin_batch(pipeline, job, [request], initial_image=None, on_step=lambda _: None, execution="eager")
        assert difference(pending.images()[0].image, expected) == 0
        assert len(encoded) == (6 if read_catalogue()[name].guided else 3)
    counted.remove()
    prepared.release()
