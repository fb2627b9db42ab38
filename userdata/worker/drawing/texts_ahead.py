"""Encodes the texts of a run some at a time, with a text encoder that is on the card for no longer than needed.

Each text is encoded by itself, so that the texts beside it change nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

from userdata.job.image_request import ImageRequest
from userdata.worker.model.large_encoder import moved_to

# Texts that are encoded beyond those of a batch: a copy of the encoder takes seconds, a text's states some megabytes.
AHEAD = 32

Key = tuple[Any, ...]


class TextsAhead:
    """Takes the place of the `encode_prompt` of `pipeline`, whose large text encoder is `encoder`.

    `has_room` says, with the encoder on the card, whether it may stay there until `close`.
    """

    def __init__(self, pipeline: DiffusionPipeline, encoder: nn.Module, *, has_room: Callable[[], bool]) -> None:
        self._pipeline = pipeline
        self._encoder = encoder
        self._has_room = has_room
        self._encode = pipeline.encode_prompt
        self._signature = inspect.signature(self._encode)
        self._upcoming: list[tuple[str, str]] = []
        self._memory: dict[Key, tuple[Any, ...]] = {}
        self._on_the_card = ExitStack()
        self._is_there = False

    def expect(self, requests: Sequence[ImageRequest]) -> None:
        """Names the images that will be drawn, in their order."""
        self._upcoming = list(dict.fromkeys((request.prompt, request.negative_prompt) for request in requests))

    def close(self) -> None:
        """Takes the encoder off the card."""
        self._memory.clear()
        self._take_away()

    def __call__(self, *args: Any, **options: Any) -> Any:
        """What the pipeline's own `encode_prompt` returns, for a batch."""
        given = dict(self._signature.bind(*args, **options).arguments)
        texts = [_of_one(given, index) for index in range(len(given["prompt"]))]
        keys = [_key(one) for one in texts]
        if any(key not in self._memory for key in keys):
            self._remember({**dict(zip(keys, texts, strict=True)), **self._following(given, keys)})
        device = self._pipeline.device
        return _together([_to(self._memory[key], device) for key in keys])

    def _following(self, given: Mapping[str, Any], keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        """The texts that will be wanted after those with `keys`, with the options of the call that was made."""
        negative = isinstance(given.get("negative_prompt"), list)
        wanted = [
            {**given, "prompt": [prompt], **({"negative_prompt": [text]} if negative else {})}
            for prompt, text in self._upcoming
        ]
        order = [_key(one) for one in wanted]
        after = 1 + max((place for place, key in enumerate(order) if key in keys), default=-1)
        return dict(zip(order[after : after + AHEAD], wanted[after : after + AHEAD], strict=True))

    def _remember(self, texts: Mapping[Key, dict[str, Any]]) -> None:
        """Encodes `texts`, and forgets all others."""
        self._memory = {key: self._memory[key] for key in texts if key in self._memory}
        if not self._is_there:
            self._on_the_card.enter_context(moved_to(self._pipeline.device, self._encoder))
            self._is_there = True
        for key, text in texts.items():
            if key not in self._memory:
                # Each list is the callee's own, because some pipelines write into it.
                one = {name: list(value) if isinstance(value, list) else value for name, value in text.items()}
                self._memory[key] = _to(self._encode(**one), torch.device("cpu"))
        if not self._has_room():
            self._take_away()

    def _take_away(self) -> None:
        self._on_the_card.close()
        self._is_there = False


@contextmanager
def texts_ahead(
    pipeline: DiffusionPipeline, encoder: nn.Module, *, has_room: Callable[[], bool] = lambda: False
) -> Iterator[TextsAhead]:
    """While this is open, `pipeline` encodes its texts by a `TextsAhead`."""
    ahead = TextsAhead(pipeline, encoder, has_room=has_room)
    pipeline.encode_prompt = ahead
    try:
        yield ahead
    finally:
        del pipeline.encode_prompt
        ahead.close()


def _of_one(given: Mapping[str, Any], index: int) -> dict[str, Any]:
    return {name: [value[index]] if isinstance(value, list) else value for name, value in given.items()}


def _key(one: Mapping[str, Any]) -> Key:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in sorted(one.items()))


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    return type(value)(_to(part, device) for part in value) if isinstance(value, list | tuple) else value


def _together(encoded: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The result for a batch from those of its texts: lists and tensors of one are joined, all else is the same."""
    joined: list[Any] = []
    for parts in zip(*encoded, strict=True):
        first = parts[0]
        if isinstance(first, list):
            joined.append([one for part in parts for one in part])
        elif isinstance(first, torch.Tensor) and len(first) == 1:
            joined.append(torch.cat(parts))
        else:
            joined.append(first)
    return tuple(joined)
