"""What decides about a recording. That a replay computes the same takes a GPU: docs/performance.md tells it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from userdata.worker.kernels import cuda_graph
from userdata.worker.kernels.cuda_graph import GraphedForward, graphed


class Recorder:
    """Stands in for what needs a GPU: remembers what was recorded, and computes plainly."""

    made = 0

    def __init__(self, forward: Any, args: Any, kwargs: Any) -> None:
        type(self).made += 1
        self._call = (forward, args, kwargs)

    def replay(self, tensors: list[torch.Tensor]) -> Any:
        forward, args, kwargs = self._call
        return forward(*args, **kwargs)


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> GraphedForward:
    Recorder.made = 0
    monkeypatch.setattr(cuda_graph, "_Recording", Recorder)
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda _: True))
    return GraphedForward(_scaled)


def _scaled(x: torch.Tensor, t: Any = None, scale: float = 1.0) -> torch.Tensor:
    return x * scale


def test_same_shapes_and_options_are_recorded_once(forward: GraphedForward) -> None:
    forward(torch.zeros(2, 4), scale=2.0)
    forward(torch.ones(2, 4), scale=2.0)
    assert Recorder.made == 1


@pytest.mark.parametrize(
    ("x", "scale"),
    [
        (torch.zeros(3, 4), 2.0),
        (torch.zeros(2, 4, dtype=torch.float64), 2.0),
        (torch.zeros(4, 2).T, 2.0),
        (torch.zeros(2, 4), 3.0),
    ],
    ids=["shape", "type", "order in memory", "option"],
)
def test_anything_else_is_recorded_anew(forward: GraphedForward, x: torch.Tensor, scale: float) -> None:
    forward(torch.zeros(2, 4), scale=2.0)
    forward(x, scale=scale)
    assert Recorder.made == 2


@pytest.mark.usefixtures("forward")
def test_of_two_passes_both_recordings_are_kept_and_no_third() -> None:
    keeping = GraphedForward(_scaled, keep=2)
    for size, made in ((2, 1), (8, 2), (2, 2), (8, 2), (3, 3), (8, 3), (2, 4)):
        keeping(torch.zeros(size))
        assert Recorder.made == made


def test_tensors_within_containers_belong_to_the_signature(forward: GraphedForward) -> None:
    forward(torch.zeros(2), t={"a": [torch.zeros(1)]})
    forward(torch.zeros(2), t={"a": [torch.zeros(1)]})
    forward(torch.zeros(2), t={"a": [torch.zeros(2)]})
    assert Recorder.made == 2


def test_cpu_runs_plainly_and_the_module_is_itself_again() -> None:
    module = nn.Linear(2, 2)
    x = torch.ones(1, 2)
    plain = module(x)
    with graphed(module):
        assert torch.equal(module(x), plain)
    assert not isinstance(module.forward, GraphedForward)


def test_an_output_with_names_keeps_them() -> None:
    """A text encoder's output is read by its names, and by its places."""
    output = BaseModelOutputWithPooling(
        last_hidden_state=torch.ones(1), pooler_output=torch.zeros(2), hidden_states=(torch.ones(3), torch.ones(4))
    )
    changed = cuda_graph._map(output, lambda tensor: tensor + 1)
    assert torch.equal(changed[0], torch.tensor([2.0]))
    assert torch.equal(changed.hidden_states[-2], 2 * torch.ones(3))
    assert changed.attentions is None
