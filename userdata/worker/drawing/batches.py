"""Groups the images of a run into batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from userdata.job.image_request import ImageRequest


def kinds_of(
    requests: Iterable[ImageRequest], length: Callable[[ImageRequest], int] = lambda _request: 1
) -> list[list[ImageRequest]]:
    """`requests` in groups that can be drawn together, in the order of each group's first image.

    `length` is that of a request's texts as the network reads them, which must be one within a batch.
    """
    kinds: dict[tuple[object, ...], list[ImageRequest]] = {}
    for request in requests:
        kinds.setdefault((*request.batch_key, length(request)), []).append(request)
    return list(kinds.values())


def next_batch(kind: Sequence[ImageRequest], largest: int) -> list[ImageRequest]:
    """The first images of `kind` to draw at once, at most `largest`; none when `kind` is empty.

    Makes as few batches as possible, and all of one size but for the last, because another size costs another
    preparation of the GPU: 20 images of which 16 fit are drawn as 10 and 10.
    """
    if not kind:
        return []
    count = math.ceil(len(kind) / largest)
    return list(kind[: math.ceil(len(kind) / count)])
