"""Teaches a pipeline embeddings (textual inversions, arXiv:2208.01618): words that stand for learned vectors.

A prompt uses an embedding by its file's name, as in the community's tools, or with `embedding:` before it. Each vector
becomes a token of its own, whose spelling occurs in no prompt; the tokenizers are given texts with the name spelled so.
Rejected: the name itself as the token. It would be found within longer words, and a name of several vectors would be
one token only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from userdata.job.run_error import RunError
from userdata.worker.model.checkpoint_tensors import read_any_tensors
from userdata.worker.model.tensor_names import Shapes, kind_without_network

# The widths of the text encoders that the community has embeddings for.
_MODELS = {(768,): "Stable Diffusion 1", (1024,): "Stable Diffusion 2", (768, 1280): "Stable Diffusion XL"}
# What settings of the text encoder from 2022 have in the place of its end's number.
_NO_END = 2
# A text encoder reads 77 tokens, two of which stand for the beginning and the end.
MOST_VECTORS = 75
MOST_ENCODERS = 2
_MATRIX, _VECTOR = 2, 1


def check_embedding_shapes(title: str, shapes: Shapes, widths: tuple[int, ...] | None) -> None:
    """Raises `RunError` when tensors of these `shapes` are no embedding for text encoders of these `widths`.

    `title` names the file. The widths are compared without their order; with None, for a model that is not known yet,
    they are not compared.
    """
    if not 0 < len(shapes) <= MOST_ENCODERS or any(len(shape) not in (_VECTOR, _MATRIX) for shape in shapes.values()):
        raise RunError(_refusal(title, kind_without_network(shapes)))
    found = tuple(sorted(shape[-1] for shape in shapes.values()))
    if widths and found != tuple(sorted(widths)):
        made_for = _MODELS.get(found, f"text encoders of width {' and '.join(map(str, found))}")
        wanted = " and ".join(map(str, sorted(widths)))
        raise RunError(
            _refusal(title, f"it was made for {made_for}, and the model's text is read in widths of {wanted}")
        )
    counts = {shape[0] if len(shape) == _MATRIX else 1 for shape in shapes.values()}
    if len(counts) != 1 or not 0 < max(counts) <= MOST_VECTORS:
        raise RunError(_refusal(title, f"it has {max(counts)} vectors, and a text encoder reads {MOST_VECTORS}"))


@torch.no_grad()
def teach_embeddings(pipeline: Any, files: Mapping[str, Path]) -> None:
    """Makes each name in a prompt stand for the vectors of its file. Raises `RunError` for a file that does not fit."""
    readers = [
        (getattr(pipeline, f"tokenizer{end}"), encoder)
        for end in ("", "_2")
        if (encoder := getattr(pipeline, f"text_encoder{end}", None)) is not None
    ]
    spelled: dict[str, str] = {}
    for number, (name, file) in enumerate(files.items()):
        vectors = _read(file, tuple(encoder.config.hidden_size for _, encoder in readers))
        tokens = [f"sdembedding{number}x{k}x" for k in range(len(next(iter(vectors.values()))))]
        for tokenizer, encoder in readers:
            tokenizer.add_tokens(tokens)
            # Its usual new rows are drawn from all rows' covariance, which takes seconds.
            encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
            weight = encoder.get_input_embeddings().weight
            rows = vectors[encoder.config.hidden_size].to(weight)
            weight[tokenizer.convert_tokens_to_ids(tokens)] = rows
        spelled[name] = " ".join(tokens)
    for tokenizer, encoder in readers:
        _spell(tokenizer, spelled)
        for module in encoder.modules():
            # Settings of 2022 have no number for the end of a text, which is then looked for as the largest number.
            if getattr(module, "eos_token_id", None) == _NO_END:
                module.eos_token_id = tokenizer.eos_token_id


def _read(file: Path, widths: tuple[int, ...]) -> dict[int, Tensor]:
    """The vectors of `file` by their width."""
    try:
        tensors = read_any_tensors(file, device=torch.device("cpu"), dtype=torch.float32)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise RunError(_refusal(file.name, str(error))) from error
    check_embedding_shapes(file.name, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, widths)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise RunError(_refusal(file.name, "it holds what is no number (NaN or infinity)"))
    return {tensor.shape[-1]: tensor.reshape(-1, tensor.shape[-1]) for tensor in tensors.values()}


def _spell(tokenizer: Any, spelled: Mapping[str, str]) -> None:
    """Has `tokenizer` read each name of `spelled`, as a whole word in any case, as the tokens that it stands for."""
    names = "|".join(re.escape(name) for name in sorted(spelled, key=len, reverse=True))
    word = re.compile(rf"(?<![\w-])(?:embedding:)?({names})(?![\w-])", re.IGNORECASE)
    by_name = {name.lower(): tokens for name, tokens in spelled.items()}
    kind: Any = type(tokenizer)

    def respelled(text: Any) -> Any:
        if isinstance(text, str):
            return word.sub(lambda found: by_name[found[1].lower()], text)
        return [respelled(one) for one in text] if isinstance(text, (list, tuple)) else text

    class Taught(kind):  # type: ignore[misc]  # transformers has no type for it
        def __call__(self, text: Any = None, *args: Any, **options: Any) -> Any:
            return super().__call__(respelled(text), *args, **options)

    tokenizer.__class__ = Taught


def _refusal(title: str, why: str) -> str:
    return f"{title} is no embedding that can be used: {why}. Name an embedding for the model as Embeddings."
