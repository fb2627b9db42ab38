from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from userdata.record.drawn_with import Execution
from userdata.worker.kernels import execution, fusing_pays
from userdata.worker.kernels.execution import choose_execution, executing


@pytest.mark.parametrize(
    ("multiprocessors", "compiled", "steps", "images", "expected"),
    [
        (132, False, 75, 6, "cuda_graph"),  # the kernels would take longer to compile than they save
        (132, True, 75, 6, "fused"),
        (132, True, 20, 6, "cuda_graph"),  # even to load
        (132, False, 75, 45, "fused"),
        (40, False, 75, 6, "fused"),  # on a smaller GPU they save more
        (132, True, 4, 1000, "eager"),
    ],
)
def test_kernels_are_used_where_they_pay(
    monkeypatch: pytest.MonkeyPatch, multiprocessors: int, compiled: bool, steps: int, images: int, expected: str
) -> None:
    properties = SimpleNamespace(multi_processor_count=multiprocessors)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(fusing_pays, "compiled_here", lambda _: compiled)
    monkeypatch.setattr(execution, "fused_kernels_work", lambda _: True)
    assert choose_execution(_pipeline("cuda"), steps=steps, images=images) == expected
    monkeypatch.setattr(execution, "fused_kernels_work", lambda _: False)
    assert choose_execution(_pipeline("cuda"), steps=steps, images=images) != "fused"


def test_cpu_runs_plainly() -> None:
    assert choose_execution(_pipeline("cpu"), steps=75, images=1000) == "eager"


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
    return SimpleNamespace(device=torch.device(device), unet=unet, vae=vae, components={"unet": unet}, **more)
