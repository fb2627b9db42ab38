"""What comes of the colours that a model computed: the right pixels for the right image, or a refusal."""

from __future__ import annotations

import time

import numpy
import pytest
import torch

from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.record.drawn_with import DrawnWith
from userdata.worker.drawing.pending_batch import PendingBatch

JOB = Job(n_iter=1, n_samples=2, model="tiny")
DRAWN_WITH = DrawnWith(indices=[0, 1], execution="eager", precision="float32", device="cpu")


def pending(colours: torch.Tensor, *, began: float | None = None, flags: torch.Tensor | None = None) -> PendingBatch:
    return PendingBatch(
        image_requests(JOB),
        colours,
        model="tiny",
        began=time.monotonic() if began is None else began,
        drawn_with=DRAWN_WITH,
        flags=flags,
    )


def test_each_image_has_its_own_pixels_rounded_and_upright() -> None:
    colours = torch.zeros(2, 3, 2, 4)
    colours[0, 0] = 1.0
    colours[1, 2, 0] = 0.5
    first, second = (numpy.asarray(one.image) for one in pending(colours).images())
    assert first.shape == (2, 4, 3)
    assert (first == (255, 0, 0)).all()
    assert (second[0] == (0, 0, 128)).all()
    assert (second[1] == 0).all()


@pytest.mark.parametrize(("dtype", "one"), [(torch.float16, 0x3C00), (torch.bfloat16, 0x3F80)])
def test_half_precision_is_widened_before_it_is_scaled(dtype: torch.dtype, one: int) -> None:
    every_value = torch.arange(one + 1, dtype=torch.int16).view(dtype)
    (image, _) = pending(every_value.expand(2, 3, 1, one + 1)).images()
    expected = (every_value.float() * 255).round().numpy()
    assert (numpy.asarray(image.image)[0, :, 0] == expected).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_no_black_image_passes_for_a_drawn_one(bad: float) -> None:
    colours = torch.zeros(2, 3, 2, 2)
    colours[1, 0, 0, 0] = bad
    with pytest.raises(RunError, match=r"tiny computed something that is not a number.*smaller GuidanceScale\.$"):
        pending(colours).images()


def test_flags_and_indices_stay_with_their_images() -> None:
    colours = torch.zeros(2, 3, 2, 2)
    assert [(one.index, one.flagged) for one in pending(colours, flags=torch.tensor([False, True])).images()] == [
        (0, False),
        (1, True),
    ]
    assert [one.flagged for one in pending(colours).images()] == [None, None]


def test_an_image_costs_its_share_of_the_time_in_which_no_other_batch_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    alone = pending(torch.zeros(2, 3, 2, 2), began=now - 10).images()
    assert [one.seconds for one in alone] == pytest.approx([5, 5])
    behind_another = pending(torch.zeros(2, 3, 2, 2), began=now - 10).images(not_before=now - 4)
    assert [one.seconds for one in behind_another] == pytest.approx([2, 2])
