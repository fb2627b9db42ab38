"""Which images are drawn together."""

from __future__ import annotations

from collections.abc import Iterable

from userdata.worker.image_request import ImageRequest


def plan_batches(requests: Iterable[ImageRequest], size: int) -> list[list[ImageRequest]]:
    """`requests` in batches of at most `size` that can be drawn together; their order is kept within each kind.

    A pure function of its arguments, so that the same job is always drawn in the same batches.
    """
    kinds: dict[tuple[object, ...], list[ImageRequest]] = {}
    for request in requests:
        kinds.setdefault(request.batch_key, []).append(request)
    return [kind[first : first + size] for kind in kinds.values() for first in range(0, len(kind), size)]
