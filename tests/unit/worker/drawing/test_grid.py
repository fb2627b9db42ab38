from __future__ import annotations

import logging

import numpy
import pytest
import torch
from PIL import Image

from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.worker.drawing import grid
from userdata.worker.drawing.grid import grid_layout, make_grid


@pytest.mark.parametrize(("count", "columns"), [(1, 3), (2, 3), (3, 3), (6, 3), (5, 2), (4, 1)])
def test_grid_is_that_of_torchvision(count: int, columns: int) -> None:
    pixels = torch.randint(0, 256, (count, 3, 16, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in pixels]
    made = make_grid(iter(images), count=count, columns=columns, cell=(24, 16))
    assert made is not None
    assert (numpy.asarray(made) == _torchvision_make_grid(pixels, columns).permute(1, 2, 0).numpy()).all()


def test_smaller_images_lie_in_the_middle_of_their_cells() -> None:
    red, blue = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (16, 24), (0, 0, 255))
    made = make_grid([red, blue], count=2, columns=2, cell=(16, 24))
    assert made is not None
    assert made.size == (2 * 18 + 2, 24 + 4)
    assert made.crop((2 + 4, 2 + 8, 2 + 12, 2 + 16)).tobytes() == red.tobytes()
    assert made.crop((20, 2, 36, 26)).tobytes() == blue.tobytes()
    assert made.getpixel((3, 3)) == (0, 0, 0)


def test_a_cell_holds_the_largest_image_of_both_passes() -> None:
    requests = [*image_requests(Job(H=64, W=96, upscale=2)), *image_requests(Job(H=136, W=64))]
    assert grid_layout(Job(), requests)["cell"] == (192, 136)


def test_grid_that_nothing_could_open_is_left_out_with_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(grid, "MOST_PIXELS", 1000)
    with caplog.at_level(logging.WARNING):
        assert make_grid((Image.new("RGB", (16, 24)) for _ in range(9)), count=9, columns=3, cell=(16, 24)) is None
    assert "9 images" in caplog.text


def _torchvision_make_grid(tensor: torch.Tensor, nrow: int, padding: int = 2) -> torch.Tensor:
    """torchvision.utils.make_grid (0.12, as the original environment has it), for batches of colour images."""
    if tensor.size(0) == 1:
        return tensor.squeeze(0)
    nmaps = tensor.size(0)
    xmaps = min(nrow, nmaps)
    ymaps = -(-nmaps // xmaps)
    height, width = tensor.size(2) + padding, tensor.size(3) + padding
    made = tensor.new_full((tensor.size(1), height * ymaps + padding, width * xmaps + padding), 0)
    k = 0
    for y in range(ymaps):
        for x in range(xmaps):
            if k >= nmaps:
                break
            made.narrow(1, y * height + padding, height - padding).narrow(
                2, x * width + padding, width - padding
            ).copy_(tensor[k])
            k += 1
    return made
