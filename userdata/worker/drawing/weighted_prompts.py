"""Encodes prompts as AUTOMATIC1111's web interface does: with weights, BREAK, and long texts in chunks.

A text is read in chunks of 75 tokens, or as many as the encoder takes. A chunk that a comma ends within its last 20
tokens ends there, and BREAK ends one anywhere. Each chunk is encoded by itself. The states of a token are multiplied by
its weight, and the chunk by what restores the mean of all its states. XL's pooled state is that of the first chunk.

The guidance compares two texts of one length: of prompt and negative prompt the shorter is repeated, which changes
nothing, because attention to a state twice is attention to it once. Where the lengths do not divide, it is filled up
with chunks of the empty text.

Rejected: compel (2.5.1), which reads a syntax of its own, `(word)1.3`, knows no BREAK, and weighs by the distance from
the empty prompt, so that the community's prompts would draw other pictures; it would also bring pyparsing along.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiffusionPipeline

from userdata.job.prompt_syntax import Part, is_plain, parse_prompt

# How many tokens before the end of a chunk a comma may end it.
COMMA_WITHIN = 20
# What restores the mean is left out beyond this. Weights of both signs can leave a mean near 0, or of the other sign.
LARGEST_SCALE = 100.0

Weighed = list[tuple[int, float]]


@dataclass(frozen=True)
class Encoded:
    """A text's states, chunks × tokens × width, and the pooled state of its first chunk, 1 × width, if there is one."""

    states: torch.Tensor
    pooled: torch.Tensor | None


def reads_weights(pipeline: DiffusionPipeline) -> bool:
    """Whether the text encoders of `pipeline` are CLIP's alone, for which the weights are meant."""
    return "transformer" not in pipeline.components


def chunks_in(pipeline: DiffusionPipeline, text: str) -> int:
    """How many chunks `text` has; 1 where texts are not read in chunks."""
    return len(_chunks(pipeline.tokenizer, text)) if reads_weights(pipeline) else 1


@contextmanager
def prompts_weighted(pipeline: DiffusionPipeline) -> Iterator[None]:
    """While this is open, `pipeline` encodes prompts with their weights, and reads all of a long one.

    Prompts with nothing of that kind are encoded by the pipeline itself, so that their images stay what they were.
    """
    if not reads_weights(pipeline):
        yield
        return
    encode = pipeline.encode_prompt
    pipeline.encode_prompt = lambda *args, **options: _encode_batch(pipeline, encode, *args, **options)
    try:
        yield
    finally:
        vars(pipeline).pop("encode_prompt", None)


def _encode_batch(pipeline: DiffusionPipeline, encode: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What the pipeline's own `encode` returns for a batch."""
    given = inspect.signature(encode).bind(*args, **options).arguments
    prompts: list[str] = given["prompt"]
    negatives: list[str] = given["negative_prompt"] if given["do_classifier_free_guidance"] else []
    texts = list(dict.fromkeys([*prompts, *negatives]))
    if all(is_plain(text) and chunks_in(pipeline, text) == 1 for text in texts):
        return encode(*args, **options)
    encoded = {text: encode_text(pipeline, text) for text in texts}
    empty = (encoded.get("") or encode_text(pipeline, "")).states
    longest = max(len(one.states) for one in encoded.values())

    def states(of: Sequence[str]) -> torch.Tensor | None:
        return torch.stack([_filled(encoded[text].states, longest, empty).flatten(0, 1) for text in of]) if of else None

    def pooled(of: Sequence[str]) -> torch.Tensor | None:
        return torch.cat([one for text in of if (one := encoded[text].pooled) is not None]) if of else None

    both = states(prompts), states(negatives)
    return both if len(_encoders(pipeline)) == 1 else (*both, pooled(prompts), pooled(negatives))


def encode_text(pipeline: DiffusionPipeline, text: str) -> Encoded:
    """The states of `text`, of all the pipeline's text encoders."""
    encoders = _encoders(pipeline)
    parts: list[torch.Tensor] = []
    pooled = None
    for tokenizer, encoder in encoders:
        chunks = _chunks(tokenizer, text)
        ids, weights = _tensors(tokenizer, chunks, pipeline.device)
        output = encoder(ids, output_hidden_states=True)
        # XL was trained with the last layer but one, and takes the pooled state of its second encoder.
        states = output[0] if len(encoders) == 1 else output.hidden_states[-2]
        pooled = output[0][:1] if output[0].ndim == 2 else pooled
        parts.append(_weigh(states, weights) if any(weight != 1 for chunk in chunks for _, weight in chunk) else states)
    return Encoded(torch.cat(parts, dim=-1), pooled)


def _encoders(pipeline: DiffusionPipeline) -> list[tuple[Any, Any]]:
    found = [
        (getattr(pipeline, f"tokenizer{n}", None), getattr(pipeline, f"text_encoder{n}", None)) for n in ("", "_2")
    ]
    return [(tokenizer, encoder) for tokenizer, encoder in found if encoder is not None]


def _chunks(tokenizer: Any, text: str) -> list[Weighed]:
    """The tokens of `text` with their weights, in chunks that fit between the encoder's start and end."""
    size = tokenizer.model_max_length - 2
    chunks: list[Weighed] = []
    for part in parse_prompt(text):
        rest = _tokens(tokenizer, part)
        while len(rest) > size:
            end = _end_of_chunk([token for token, _ in rest[: size + 1]], tokenizer.convert_tokens_to_ids(",</w>"))
            chunks.append(rest[:end])
            rest = rest[end:]
        chunks.append(rest)
    return chunks if chunks[-1] or len(chunks) == 1 else chunks[:-1]


def _end_of_chunk(tokens: Sequence[int], comma: int) -> int:
    """Where a full chunk ends, of which `tokens` are all and the next one."""
    size = len(tokens) - 1
    if tokens[size] != comma:
        for last in range(size - 1, max(-1, size - COMMA_WITHIN - 1), -1):
            if tokens[last] == comma:
                return last + 1
    return size


def _tokens(tokenizer: Any, part: Part) -> Weighed:
    tokens: Weighed = []
    for piece in part:
        ids = tokenizer(piece.text, add_special_tokens=False, truncation=False).input_ids
        tokens += [(token, piece.weight) for token in ids]
    return tokens


def _tensors(tokenizer: Any, chunks: Sequence[Weighed], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens and their weights, each chunks × tokens, with start, end and filling, which weigh 1."""
    rows = []
    for chunk in chunks:
        filling = tokenizer.model_max_length - 2 - len(chunk)
        rows.append(
            [
                (tokenizer.bos_token_id, 1.0),
                *chunk,
                (tokenizer.eos_token_id, 1.0),
                *[(tokenizer.pad_token_id, 1.0)] * filling,
            ]
        )
    ids = torch.tensor([[token for token, _ in row] for row in rows], device=device)
    return ids, torch.tensor([[weight for _, weight in row] for row in rows], device=device)


def _weigh(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`states`, chunks × tokens × width, times `weights`, chunks × tokens, with the mean of each chunk restored."""
    weighed = states.float() * weights[..., None]
    scale = states.float().mean((1, 2)) / weighed.mean((1, 2))
    scale = torch.where((scale > 0) & (scale < LARGEST_SCALE), scale, torch.ones_like(scale))
    return (weighed * scale[:, None, None]).to(states.dtype)


def _filled(states: torch.Tensor, chunks: int, empty: torch.Tensor) -> torch.Tensor:
    times, over = divmod(chunks, len(states))
    return states.repeat(times, 1, 1) if not over else torch.cat([states, empty.expand(chunks - len(states), -1, -1)])
