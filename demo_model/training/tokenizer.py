"""The model's tokenizer: CLIP's, byte-level byte pair encoding, with merges made for the captions' words.

Each word that the model knows is one token; any other text falls into shorter pieces, down to single bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from demo_model.world.caption import vocabulary

# As Stable Diffusion v1.
LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> list[str]:
    """The printable character that stands for each byte, in the order of CLIP's and GPT-2's vocabulary."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(len(others))]


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """The merges, most frequent first, after which each of `words` is one token (arXiv:1508.07909, algorithm 1)."""
    spelled = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for pieces in spelled for pair in pairwise(pieces))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [_merged(pieces, best) for pieces in spelled]


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    result: list[str] = []
    place = 0
    while place < len(pieces):
        if tuple(pieces[place : place + 2]) == pair:
            result.append(pieces[place] + pieces[place + 1])
            place += 2
        else:
            result.append(pieces[place])
            place += 1
    return result


def write_tokenizer(folder: Path) -> None:
    """Writes the tokenizer's files into `folder`, as `transformers.CLIPTokenizer` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(vocabulary())
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges), START, END]
    numbered = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(numbered, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), "utf-8")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    _write_json(folder / "special_tokens_map.json", special)
    settings = {
        **special,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": LENGTH,
        "tokenizer_class": "CLIPTokenizer",
    }
    _write_json(folder / "tokenizer_config.json", settings)


def _write_json(file: Path, content: dict[str, object] | dict[str, str]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
