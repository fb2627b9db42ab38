"""The comparison with diffusers, in miniature: each model of the catalogue can be made and drawn, limits hold."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.peers import compare, timing, ways
from benchmarks.peers.diffusers_way import as_in_diffusers, call
from benchmarks.peers.table import table
from benchmarks.peers.ways import Measurement
from benchmarks.peers.works import NONE, WAYS, WORKS
from benchmarks.runs import draw
from userdata.contract.catalogue import read_catalogue
from userdata.worker.model import pipeline as product_pipeline

CPU = torch.device("cpu")
# One of each architecture: the others have the same networks.
ARCHITECTURES = ("stable-diffusion-v1-5", "sdxl-turbo", "flux-schnell", "flux2-klein", "z-image-turbo", "chroma")


def test_every_model_that_is_fetched_has_its_work() -> None:
    layouts = {model.layout for model in read_catalogue().values() if model.files}
    assert {work.entry.layout for work in WORKS.values()} == layouts
    assert {WORKS[model].entry.pipeline for model in ARCHITECTURES} == {work.entry.pipeline for work in WORKS.values()}


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_a_model_is_made_and_drawn_by_us_and_by_diffusers(tmp_path: Path, model: str) -> None:
    measurement = Measurement(WORKS[model], device=CPU, scratch=tmp_path, seconds=0, tiny=True, steps=1)
    for name, network in measurement.pipeline.components.items():
        if isinstance(network, torch.nn.Module):
            assert all(torch.isfinite(weight).all() for weight in network.parameters()), name
    drawn: list[Any] = []
    assert len(draw(measurement.pipeline, measurement.job(1), on_image=drawn.append).seconds) == 1
    as_in_diffusers(measurement.pipeline)
    (peers,) = call(measurement.pipeline, measurement.job(1))
    for image in (drawn[0].image, peers):
        assert image.size == (64, 64)
        assert len(image.getcolors(64 * 64)) > 100, "what is no number would be one colour"


def test_the_figures_of_one_model_have_their_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measurement = Measurement(WORKS["z-image"], device=CPU, scratch=tmp_path, seconds=0, tiny=True, steps=1)
    monkeypatch.setattr(ways, "LONG_RUN", 2)
    monkeypatch.setattr(timing, "FEWEST", 1)
    document: dict[str, Any] = {"ceilings": {"product_tflops": 1e-3, "float8_product_tflops": None}}
    document |= {way: getattr(measurement, way)() for way in ("long", "one", "floor", "eager")}
    compare.with_shares(document)
    figures = {name: figure for way in ("long", "one", "eager") for name, figure in document[way].items()}
    assert list(figures) == ["long run", "job of 1", "job of 1, again", "batch of 1"]
    floor = document["floor"]
    assert 0 < floor["step_tflop"] < floor["decoding_tflop"] < floor["image_tflop"]
    for figure in figures.values():
        assert 0 < figure["least_s"] <= figure["median_s"] <= figure["most_s"]
        assert figure["share_of_floor"] == pytest.approx(floor["image_tflop"] / 1e-3 / figure["median_s"])
    lines = table({"z-image": document})
    assert max(map(len, lines)) <= 80
    assert [line.split()[:2] for line in lines[3:]] == [["ours:", "eager"]] * 3 + [["eager", "batch"]]


def test_what_ends_a_process_takes_no_figure_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child ends in the second way; the first has its figure, and a next child does the third."""
    children: list[list[str]] = []

    class Child:
        def __init__(self, command: list[str], **_: object) -> None:
            asked = command[command.index("--ways") + 1 : command.index("--scratch")]
            children.append(asked)
            done = asked[:1] if len(asked) > 1 else asked
            Path(command[command.index("benchmarks.peers.one_model") + 2]).write_text(
                json.dumps({way: {"median_s": 1} for way in done})
            )

        def __enter__(self) -> Child:
            return self

        def __exit__(self, *_: object) -> None: ...
        def kill(self) -> None: ...
        def wait(self, timeout: float) -> int:
            return -11

    monkeypatch.setattr(subprocess, "Popen", Child)
    options = argparse.Namespace(
        ways=("eager", "long", "floor"), limit=60.0, seconds=1.0, tiny=True, steps=None, compiled=None
    )
    document = compare._measure("chroma", options, tmp_path, ends=float("inf"))
    order = [way for way in WAYS if way in options.ways]
    assert children == [order, order[2:]]
    assert document == {
        "model": "chroma",
        order[0]: {"median_s": 1},
        order[1]: {NONE: "the process ended with status -11"},
        order[2]: {"median_s": 1},
    }
    late = compare._measure("chroma", options, tmp_path, ends=0)
    assert all(late[way] == {NONE: "time limit of the whole benchmark"} for way in options.ways)


@pytest.mark.parametrize("model", ["sdxl-lightning", "z-image-turbo"])
def test_a_model_is_loaded_from_the_files_that_the_hub_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """A checkpoint in one file with a LoRA, and a folder of parts: no file more, none less, and an image of them."""
    measurement = Measurement(WORKS[model], device=CPU, scratch=tmp_path, seconds=0, tiny=True, steps=1)
    folder, entry = tmp_path / "model", WORKS[model].entry
    load = product_pipeline.load_pipeline

    def compare_and_load(*given: Any, **options: Any) -> Any:
        weights = set(folder.rglob("*.safetensors"))
        assert weights == {place for place in entry.places(folder) if place.suffix == ".safetensors"}
        assert all(place.exists() for place in entry.places(folder))
        return load(*given, **options)

    monkeypatch.setattr(product_pipeline, "load_pipeline", compare_and_load)
    figures = measurement.files()
    assert figures["loading_s"] > 0 < figures["first_image_s"]
    assert not folder.exists(), "the next model needs the room"
