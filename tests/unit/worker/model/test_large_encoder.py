"""A text encoder that goes to the card and comes back."""

from __future__ import annotations

import torch
from torch import nn

from userdata.worker.model.large_encoder import moved_to


def test_what_was_moved_has_its_own_tensors_again() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    module = nn.Sequential(first, nn.BatchNorm1d(2, affine=False), second)
    before = {name: (tensor, tensor.data_ptr()) for name, tensor in module.state_dict(keep_vars=True).items()}
    with moved_to(torch.device("meta"), module):
        assert {tensor.device.type for tensor in module.state_dict().values()} == {"meta"}
        for tensor, _ in before.values():
            tensor.data = torch.zeros(3)  # as on the way to a GPU, where PyTorch keeps the object and changes its data
    after = module.state_dict(keep_vars=True)
    assert all(after[name] is tensor and tensor.data_ptr() == place for name, (tensor, place) in before.items())
    assert second.weight is first.weight
