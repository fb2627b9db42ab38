"""Tokenizers for the models whose own come with their weights: of the same kind, with letters for words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE, Unigram
from transformers import CLIPTokenizer

from userdata.worker.model.single_file import PADDING

_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
OF_QWEN = {"pad_token": _SPECIAL[0], "eos_token": _SPECIAL[2]}
_OF_T5 = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def stand_in(kind: str) -> Tokenizer:
    """What the file `tokenizer.json` of a T5, or of a Qwen, holds."""
    if kind.startswith("T5"):
        letters = [
            ("▁", -3.0),
            ("▁a", -1.0),
            ("▁horse", -2.0),
            *((letter, -4.0) for letter in "abcdefghijklmnopqrstuvwxyz0123456789,"),
        ]
        return Tokenizer(Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *letters], unk_id=2))
    made = Tokenizer(BPE({word: number for number, word in enumerate([*_SPECIAL, *_BYTES])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(_SPECIAL)
    return made


def make_tokenizer(part: str, kind: str, *, clip: Path, scratch: Path) -> Any:
    """The tokenizer `part` of a pipeline, of transformers' class `kind`; `clip` is CLIP's folder."""
    if kind == "CLIPTokenizer":
        return CLIPTokenizer.from_pretrained(clip, pad_token=PADDING[part])
    file = scratch / f"{kind}.json"
    stand_in(kind).save(str(file))
    if kind.startswith("T5"):
        return transformers.PreTrainedTokenizerFast(tokenizer_file=str(file), model_max_length=512, **_OF_T5)
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(file), chat_template=TEMPLATE, **OF_QWEN)
