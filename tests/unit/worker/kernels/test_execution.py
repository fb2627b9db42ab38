from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from userdata.record.drawn_with import Execution
from userdata.worker.kernels import execution
from userdata.worker.kernels.execution import choose_execution, executing


def test_kernels_that_do_not_work_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next best way is taken."""
    monkeypatch.setattr(execution, "ways_by_time", lambda *_, **__: ["fused", "cuda_graph", "eager"])
    for works, chosen in ((True, "fused"), (False, "cuda_graph")):
        monkeypatch.setattr(execution, "fused_kernels_work", lambda *_, works=works, **__: works)
        assert choose_execution(_pipeline("cuda"), steps=75, images=6, pixels=512**2, guided=True) == chosen


def test_network_without_kernels_runs_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "work_of", lambda _: None)
    assert choose_execution(_pipeline("cuda"), steps=75, images=1000, pixels=512**2, guided=True) == "eager"


def test_cpu_runs_plainly() -> None:
    assert choose_execution(_pipeline("cpu"), steps=75, images=1000, pixels=512**2, guided=True) == "eager"


@pytest.mark.parametrize(
    ("chosen", "done"),
    [("eager", []), ("cuda_graph", ["unet graphed"]), ("fused", ["fused", "decoder graphed", "unet graphed"])],
)
def test_what_was_chosen_is_done_while_drawing_and_undone_after(
    opened: list[str], chosen: Execution, done: list[str]
) -> None:
    """Images would be the same without it: the loss is the speed alone, which no other test looks at."""
    with executing(_pipeline("cpu"), chosen):
        assert opened == done
    assert opened == []


def test_a_second_pass_has_a_recording_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []

    def graphed(_network: object, *, keep: int) -> AbstractContextManager[None]:
        kept.append(keep)
        return nullcontext()

    monkeypatch.setattr(execution, "graphed", graphed)
    with executing(_pipeline("cpu"), "cuda_graph", shapes=2):
        assert kept == [2]


@pytest.mark.parametrize(
    ("options", "dtype", "recorded"),
    [
        ({"tiling": True}, torch.float16, False),
        ({"upcast_vae": None}, torch.float16, False),  # the XL pipeline moves these weights for every batch
        ({"upcast_vae": None}, torch.float32, True),
    ],
)
def test_decoder_whose_weights_or_shapes_change_is_not_recorded(
    opened: list[str], options: dict[str, Any], dtype: torch.dtype, recorded: bool
) -> None:
    pipeline = _pipeline("cpu", dtype=dtype, **options)
    with executing(pipeline, "fused"):
        assert ("decoder graphed" in opened) is recorded


@pytest.mark.parametrize(
    ("chosen", "network", "asked"),
    [("eager", "unet", False), ("cuda_graph", "unet", False), ("fused", "unet", True), ("eager", "transformer", True)],
)
def test_attention_that_is_compiled_first_is_for_long_runs(
    opened: list[str], chosen: Execution, network: str, asked: bool
) -> None:
    # Whatever an earlier test of this process has left prepared.
    torch.backends.cuda.enable_cudnn_sdp(True)
    pipeline = _pipeline("cpu")
    if network == "transformer":
        pipeline.components = {"transformer": object()}
        pipeline.transformer = object()
    with executing(pipeline, chosen):
        assert compiled_attention_is_on() is asked
    assert compiled_attention_is_on()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is open, in the order in which it was opened."""
    open_now: list[str] = []

    def opening(name_of: Callable[[object], str]) -> Callable[..., AbstractContextManager[None]]:
        @contextmanager
        def change(target: object, **_: object) -> Iterator[None]:
            open_now.append(name_of(target))
            yield
            open_now.remove(name_of(target))

        return change

    monkeypatch.setattr(execution, "fused", opening(lambda _: "fused"))
    monkeypatch.setattr(
        execution, "graphed", opening(lambda t: f"{'decoder' if t == 'the decoder' else 'unet'} graphed")
    )
    return open_now


def compiled_attention_is_on() -> bool:
    return bool(torch.backends.cuda.cudnn_sdp_enabled())  # type: ignore[no-untyped-call]


def _pipeline(device: str, *, tiling: bool = False, dtype: torch.dtype = torch.float16, **more: object) -> Any:
    unet = UNet2DConditionModel.__new__(UNet2DConditionModel)
    vae = SimpleNamespace(decoder="the decoder", use_tiling=tiling, dtype=dtype)
    names = {"device": torch.device(device), "unet": unet, "vae": vae, "components": {"unet": unet}, **more}
    return type("StableDiffusionPipeline", (SimpleNamespace,), {})(**names)
