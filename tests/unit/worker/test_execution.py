from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DConditionModel

from userdata.worker import execution
from userdata.worker.drawn_with import Execution
from userdata.worker.execution import choose_execution, executing


@pytest.mark.parametrize(
    ("multiprocessors", "steps", "images", "expected"),
    [
        (132, 75, 6, "cuda_graph"),  # the kernels would take longer to load than they save
        (132, 75, 45, "fused"),
        (40, 75, 6, "fused"),  # on a smaller GPU they save more
        (132, 4, 1000, "eager"),
    ],
)
def test_kernels_are_used_where_they_pay(
    monkeypatch: pytest.MonkeyPatch, multiprocessors: int, steps: int, images: int, expected: str
) -> None:
    properties = SimpleNamespace(multi_processor_count=multiprocessors)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(execution, "fused_kernels_work", lambda _: True)
    assert choose_execution(_pipeline("cuda"), steps=steps, images=images) == expected
    monkeypatch.setattr(execution, "fused_kernels_work", lambda _: False)
    assert choose_execution(_pipeline("cuda"), steps=steps, images=images) != "fused"


def test_cpu_runs_plainly() -> None:
    assert choose_execution(_pipeline("cpu"), steps=75, images=1000) == "eager"


@pytest.mark.parametrize(
    ("chosen", "done"), [("eager", []), ("cuda_graph", ["graphed"]), ("fused", ["fused", "graphed"])]
)
def test_what_was_chosen_is_done_while_drawing_and_undone_after(
    monkeypatch: pytest.MonkeyPatch, chosen: Execution, done: list[str]
) -> None:
    """Images would be the same without it: the loss is the speed alone, which no other test looks at."""
    pipeline = _pipeline("cpu")
    open_now: list[str] = []

    def opening(name: str, target: object) -> Callable[[object], AbstractContextManager[None]]:
        @contextmanager
        def change(given: object) -> Iterator[None]:
            assert given is target
            open_now.append(name)
            yield
            open_now.remove(name)

        return change

    monkeypatch.setattr(execution, "fused", opening("fused", pipeline))
    monkeypatch.setattr(execution, "graphed", opening("graphed", pipeline.unet))
    with executing(pipeline, chosen):
        assert open_now == done
    assert open_now == []


def _pipeline(device: str) -> SimpleNamespace:
    unet = UNet2DConditionModel.__new__(UNet2DConditionModel)
    return SimpleNamespace(device=torch.device(device), unet=unet, components={"unet": unet})
