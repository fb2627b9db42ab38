"""The rule, against what was measured on one H200 (docs/performance.md)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from userdata.record.drawn_with import Execution
from userdata.worker.kernels import drawing_time
from userdata.worker.kernels.drawing_time import WORK, Run, predicted_seconds, ways_by_time, work_of

V1, XL = 512 * 640, 1024 * 1024
LOADED, COMPILED, NOTHING = 0.0, 1.3, 12.0


@pytest.mark.parametrize(
    ("pipeline", "pixels", "steps", "images", "guided", "measured"),
    [
        # Of a process that has the kernels and what cuDNN compiled: seconds an image.
        ("StableDiffusionPipeline", V1, 25, 1, True, {"eager": 0.651, "cuda_graph": 0.532, "fused": 0.202}),
        ("StableDiffusionPipeline", V1, 25, 4, True, {"eager": 0.2515, "cuda_graph": 0.305, "fused": 0.146}),
        ("StableDiffusionPipeline", V1, 25, 16, True, {"eager": 0.217, "fused": 0.1365}),
        ("StableDiffusionPipeline", V1, 77, 1, True, {"eager": 1.865, "cuda_graph": 1.318, "fused": 0.598}),
        ("StableDiffusionPipeline", V1, 77, 4, True, {"eager": 0.712, "cuda_graph": 0.818, "fused": 0.433}),
        ("StableDiffusionXLPipeline", XL, 30, 1, True, {"eager": 2.49, "cuda_graph": 1.689, "fused": 0.961}),
        ("StableDiffusionXLPipeline", XL, 30, 4, True, {"eager": 1.233, "cuda_graph": 1.381, "fused": 0.879}),
        ("StableDiffusionXLPipeline", 512**2, 4, 40, False, {"eager": 0.0479, "fused": 0.0332}),
    ],
)
def test_the_way_with_the_least_measured_time_has_the_least_predicted(
    pipeline: str, pixels: int, steps: int, images: int, guided: bool, measured: dict[Execution, float]
) -> None:
    """And each prediction is near its measurement, so that the choice is no luck."""
    work = work_of(pipeline)
    assert work
    run = Run(images, steps, pixels, guided, multiprocessors=132, loading=LOADED, prepared="fused")
    predicted = {way: predicted_seconds(way, work, run) / images for way in measured}
    assert min(predicted, key=predicted.__getitem__) == min(measured, key=measured.__getitem__)
    # XL was measured with a slower attention in its decoder.
    assert predicted["fused"] == pytest.approx(measured["fused"], rel=0.3)


@pytest.mark.parametrize(
    ("pipeline", "pixels", "steps", "images", "guided", "loading", "prepared", "chosen"),
    [
        ("StableDiffusionPipeline", V1, 25, 1, True, LOADED, "fused", "fused"),
        ("StableDiffusionPipeline", V1, 25, 1, True, COMPILED, None, "cuda_graph"),  # loading takes longer
        ("StableDiffusionPipeline", V1, 75, 6, True, COMPILED, None, "fused"),
        ("StableDiffusionPipeline", V1, 75, 6, True, NOTHING, None, "eager"),  # so large that the CPU keeps ahead
        ("StableDiffusionPipeline", V1, 75, 60, True, NOTHING, None, "fused"),
        ("StableDiffusionXLPipeline", XL, 30, 8, True, COMPILED, None, "fused"),
        ("StableDiffusionXLPipeline", XL, 30, 1, True, COMPILED, None, "cuda_graph"),
        # The whole run counts, not the few steps of a batch.
        ("StableDiffusionXLPipeline", 512**2, 4, 400, False, COMPILED, None, "fused"),
        ("StableDiffusionXLPipeline", 512**2, 4, 1, False, COMPILED, None, "cuda_graph"),
        ("StableDiffusionXLPipeline", 512**2, 1, 1, False, COMPILED, None, "eager"),
        ("FluxPipeline", XL, 4, 40, True, COMPILED, None, "fused"),
        ("FluxPipeline", XL, 4, 1, True, COMPILED, None, "eager"),
        ("FluxPipeline", XL, 4, 1, True, LOADED, None, "fused"),
        ("Flux2KleinPipeline", XL, 4, 1, False, LOADED, None, "fused"),
        ("ZImageImg2ImgPipeline", XL, 8, 1, False, LOADED, None, "fused"),
        ("ChromaPipeline", XL, 26, 1, True, LOADED, None, "fused"),
    ],
)
def test_what_a_process_waits_for_counts(
    monkeypatch: pytest.MonkeyPatch,
    pipeline: str,
    pixels: int,
    steps: int,
    images: int,
    guided: bool,
    loading: float,
    prepared: Execution | None,
    chosen: Execution,
) -> None:
    work = work_of(pipeline)
    assert work
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(multi_processor_count=132))
    monkeypatch.setattr(drawing_time, "seconds_until_loaded", lambda *_, **__: loading)
    ways = ways_by_time(
        torch.device("cuda"), work, steps=steps, images=images, pixels=pixels, guided=guided, prepared=prepared
    )
    assert ways[0] == chosen


def test_a_smaller_card_fuses_sooner() -> None:
    work = WORK["StableDiffusion"]
    small, large = (
        Run(3, 50, V1, guided=True, multiprocessors=processors, loading=COMPILED) for processors in (58, 132)
    )
    assert predicted_seconds("fused", work, small) < predicted_seconds("cuda_graph", work, small)
    assert predicted_seconds("fused", work, large) > predicted_seconds("cuda_graph", work, large)


def test_a_pipeline_of_another_network_has_no_kernels() -> None:
    assert work_of("LuminaPipeline") is None
    assert work_of("StableDiffusionXLImg2ImgPipeline") == WORK["StableDiffusionXL"]
