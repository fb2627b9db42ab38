from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.worker.drawing.batches import kinds_of, next_batch

ONE = image_requests(Job(n_iter=1, n_samples=1))[0]


@st.composite
def requests(draw: st.DrawFn) -> list[ImageRequest]:
    indices = draw(st.lists(st.integers(0, 10**6), unique=True).map(sorted))
    return [replace(ONE, index=index, seed=index, W=draw(st.sampled_from([64, 128]))) for index in indices]


@given(requests())
def test_kinds_lose_and_repeat_nothing_and_keep_the_order(asked: list[ImageRequest]) -> None:
    kinds = kinds_of(asked)
    assert sorted(request.index for kind in kinds for request in kind) == [request.index for request in asked]
    for kind in kinds:
        assert len({request.W for request in kind}) == 1
        assert [request.index for request in kind] == sorted(request.index for request in kind)


def test_texts_of_another_length_are_drawn_apart() -> None:
    asked = [replace(ONE, index=index, prompt=prompt) for index, prompt in enumerate(["a", "b b", "c", "d d"])]
    kinds = kinds_of(asked, lambda request: len(request.prompt.split()))
    assert [[request.index for request in kind] for kind in kinds] == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("count", "largest", "sizes"),
    [(6, 16, [6]), (20, 16, [10, 10]), (17, 16, [9, 8]), (7, 3, [3, 2, 2]), (3, 1, [1] * 3)],
)
def test_sizes_are_as_even_as_can_be(count: int, largest: int, sizes: list[int]) -> None:
    kind = [replace(ONE, index=index) for index in range(count)]
    made = []
    while kind:
        batch = next_batch(kind, largest)
        made.append(len(batch))
        kind = kind[len(batch) :]
    assert made == sizes
