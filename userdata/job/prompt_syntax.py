r"""What brackets and BREAK mean in a prompt: what they mean in AUTOMATIC1111's web interface.

`(word:1.3)` weighs a word 1.3 times, `(word)` 1.1 times and `[word]` 1 / 1.1 times; weights of brackets within brackets
multiply. `\(` is a bracket of the text. A `(` without its `)` weighs all that follows it, and a `)` without its `(` is
text, in the web interface as well.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

LARGEST_WEIGHT = 10.0
ROUND, SQUARE = 1.1, 1 / 1.1
# More brackets in one another are a picture made of signs. Each of them costs time at every bracket within it.
MOST_OPEN = 100
LONGEST_SHOWN = 40
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_MARK = re.compile(
    rf"\\(?P<escaped>[\\()\[\]]?)|:\s*(?P<weight>{_NUMBER})\s*\)"
    # A run of spaces is looked at from its beginning alone: from each of them takes the square of its length.
    r"|(?P<break>(?:(?<!\s)\s+)?\bBREAK\b\s*)|(?P<bracket>[()\[\]])"
)


class Piece(NamedTuple):
    """Words of a prompt, and how many times they weigh what they would without brackets."""

    text: str
    weight: float


Part = list[Piece]


def parse_prompt(prompt: str) -> list[Part]:
    """The parts of `prompt` between its BREAKs, each in pieces of one weight; an empty part has no pieces.

    Raises `ValueError` for a weight that is not from -10 to 10.
    """
    return [_joined(part) for part in _between_breaks(_read(prompt)[0])]


def is_open(prompt: str) -> bool:
    """Whether a bracket of `prompt` has no end. Raises `ValueError` for too many brackets in one another."""
    return _read(prompt)[1]


def _read(prompt: str) -> tuple[list[Piece | None], bool]:
    """The pieces of `prompt`, with None for each BREAK, and whether a bracket has no end."""
    pieces: list[Piece | None] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}  # the number of the first piece behind each bracket

    def close(bracket: str, weight: float) -> None:
        for number in range(opened[bracket].pop(), len(pieces)):
            if piece := pieces[number]:
                pieces[number] = Piece(piece.text, piece.weight * weight)

    end = 0
    for mark in _MARK.finditer(prompt):
        pieces.append(Piece(prompt[end : mark.start()], 1.0))
        end = mark.end()
        if mark["break"]:
            pieces.append(None)
        elif mark["weight"] and opened["("]:
            close("(", float(mark["weight"]))
        elif mark[0] in opened:
            opened[mark[0]].append(len(pieces))
            if len(opened[mark[0]]) > MOST_OPEN:
                raise ValueError(
                    f"has more than {MOST_OPEN} {mark[0]} in one another: write \\{mark[0]} where it is text"
                )
        elif mark[0] == ")" and opened["("]:
            close("(", ROUND)
        elif mark[0] == "]" and opened["["]:
            close("[", SQUARE)
        else:
            pieces.append(Piece(mark[0] if mark["escaped"] is None else mark["escaped"], 1.0))
    pieces.append(Piece(prompt[end:], 1.0))
    unended = any(opened.values())
    for bracket, weight in (("(", ROUND), ("[", SQUARE)):
        while opened[bracket]:
            close(bracket, weight)
    return pieces, unended


def check_weights(texts: Mapping[str, str]) -> None:
    """Raises `ValueError`, with the parameter's name before the reason, for a weight that is out of range."""
    for name, text in texts.items():
        try:
            parse_prompt(text)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error


def is_plain(prompt: str) -> bool:
    """Whether `prompt` has none of this syntax."""
    try:
        return parse_prompt(prompt) in ([[]], [[Piece(prompt, 1.0)]])
    except ValueError:
        return False


def _between_breaks(pieces: Iterable[Piece | None]) -> list[Part]:
    parts: list[Part] = [[]]
    for piece in pieces:
        if piece is None:
            parts.append([])
        elif piece.text:
            parts[-1].append(piece)
    return parts


def _joined(part: Part) -> Part:
    """`part` with neighbours of one weight as one piece, so that no word is torn where nothing weighs it."""
    joined = []
    for weight, pieces in itertools.groupby(part, key=lambda piece: piece.weight):
        text = "".join(piece.text for piece in pieces)
        if not abs(weight) <= LARGEST_WEIGHT:
            shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
            raise ValueError(
                f"gives {shown!r} the weight {weight:g}, but weights are from -{LARGEST_WEIGHT:g} to "
                f"{LARGEST_WEIGHT:g}: correct it, or write \\( and \\) for brackets that are text"
            )
        joined.append(Piece(text, weight))
    return joined
