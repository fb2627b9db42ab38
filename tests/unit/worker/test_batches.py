from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from userdata.worker.batches import plan_batches
from userdata.worker.image_request import ImageRequest, image_requests
from userdata.worker.job import Job

ONE = image_requests(Job(n_iter=1, n_samples=1))[0]


@st.composite
def requests(draw: st.DrawFn) -> list[ImageRequest]:
    indices = draw(st.lists(st.integers(0, 10**6), unique=True).map(sorted))
    return [replace(ONE, index=index, seed=index, W=draw(st.sampled_from([64, 128]))) for index in indices]


@given(requests(), st.integers(1, 16))
def test_batches_lose_and_repeat_nothing(asked: list[ImageRequest], size: int) -> None:
    made = plan_batches(asked, size)
    assert sorted(request.index for batch in made for request in batch) == [request.index for request in asked]
    assert all(1 <= len(batch) <= size for batch in made)


@given(requests(), st.integers(1, 16))
def test_batches_hold_one_kind_in_order_and_are_full_but_for_the_last(asked: list[ImageRequest], size: int) -> None:
    for width in (64, 128):
        made = [batch for batch in plan_batches(asked, size) if width == batch[0].W]
        assert [request for batch in made for request in batch] == [request for request in asked if width == request.W]
        assert all(len(batch) == size for batch in made[:-1])
