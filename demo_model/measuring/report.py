"""What was measured, as tables for the documentation: of the figures that `demo_model.measuring.measure` writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from userdata.contract.catalogue import find_model

MEASURED = "measured.json"
PAIRS = "held-out pairs"
OTHERS = "scenes as in the training"
# Shares of images that the model was made for, by what the judge is asked about.
GOALS = {"all_things": 0.85, "relation": 0.75, "colours": 0.80}
NAMES = {
    "things": "a thing, of those asked for",
    "all_things": "all things of an image",
    "relation": "the relation",
    "colours": "the colour of a thing",
    "count": "how many",
    "backdrop": "a plain background's colour",
    "place": "the place",
    "time": "the time",
}
WEAKEST = 20

Shares = Mapping[str, float]
# Of a word: how often it was drawn right, and how often it was asked for.
Counts = Mapping[str, Sequence[int]]


def report(folder: Path) -> str:
    """The tables of the figures in `folder`, in Markdown, for the catalogue's default guidance scale.

    Raises `KeyError` when the measurement does not have that scale.
    """
    figures: Mapping[str, Any] = json.loads((folder / MEASURED).read_text("utf-8"))
    scale = float(find_model("demo").defaults["scale"])
    return "\n\n".join(
        [
            _main_table(figures, scale),
            _by_scale(figures, scale),
            _image_to_image(figures["image to image"]),
            _weak_words(figures, scale),
        ]
    )


def title(scenes: str, scale: float) -> str:
    """The key under which `measure` keeps the shares of one kind of scenes at one guidance scale."""
    return f"{scenes}, guidance scale {scale:g}"


def _main_table(figures: Mapping[str, Any], scale: float) -> str:
    columns: list[Shares] = [
        figures[title(PAIRS, scale)],
        figures[title(OTHERS, scale)],
        figures["judge on composed scenes"],
        figures["judge on composed scenes through the autoencoder"],
    ]
    rows = []
    for name, words in NAMES.items():
        goal = GOALS.get(name)
        bound = "" if goal is None else f"{100 * goal:.0f} %, {'met' if columns[0][name] >= goal else 'missed'}"
        rows.append([words, *(_share(column.get(name)) for column in columns), bound])
    head = [
        "named right by the judge",
        "combinations never seen in training",
        "scenes as in the training",
        "the judge on composed scenes",
        "those, through the autoencoder",
        "goal for the first column",
    ]
    psnr = f"The autoencoder gives composed scenes back with {figures['autoencoder psnr in dB']:.1f} dB."
    return f"{_table(head, rows)}\n\n{psnr}"


def _by_scale(figures: Mapping[str, Any], chosen: float) -> str:
    beginning = title(PAIRS, 0).removesuffix("0")
    scales = sorted(
        float(name.removeprefix(beginning))
        for name in figures
        if name.startswith(beginning) and not name.endswith("by word")
    )
    rows = [
        [f"{scale:g}{' (default)' if scale == chosen else ''}"]
        + [_share(figures[title(PAIRS, scale)][name]) for name in GOALS]
        for scale in scales
    ]
    return _table(["guidance scale", *(NAMES[name] for name in GOALS)], rows)


def _image_to_image(figures: Mapping[str, Shares]) -> str:
    head = ["strength", "layout like the initial image's", "initial image's things", "prompt's things"]
    rows = [
        [
            name.removeprefix("strength "),
            f"{of['layout alike']:.2f}",
            _share(of["initial image's things"]),
            _share(of["prompt's things"]),
        ]
        for name, of in figures.items()
    ]
    return _table(head, rows)


def _weak_words(figures: Mapping[str, Any], scale: float) -> str:
    tables: list[Mapping[str, Counts]] = [figures[f"{title(kind, scale)}, by word"] for kind in (PAIRS, OTHERS)]
    parts = []
    for kind in tables[0]:
        counts: dict[str, list[int]] = {}
        for table in tables:
            for word, (right, asked) in table[kind].items():
                known = counts.setdefault(word, [0, 0])
                known[0] += right
                known[1] += asked
        parts.append([kind.replace("backdrop", "background"), *_weak_and_sure(counts)])
    head = ["", f"words that failed, at most {WEAKEST}, weakest first (right of asked)", "words that never failed"]
    return f"By word, in both kinds of scenes together:\n\n{_table(head, parts)}"


def _weak_and_sure(counts: Counts) -> tuple[str, str]:
    weak = sorted((right / asked, word) for word, (right, asked) in counts.items() if right < asked)
    listed = ", ".join("{} {}/{}".format(word, *counts[word]) for _, word in weak[:WEAKEST])
    sure = [asked for right, asked in counts.values() if right == asked]
    number = f"{len(sure)} of {len(counts)}" + (f", asked for {min(sure)} to {max(sure)} times each" if sure else "")
    return listed or "none", number


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(
        [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
    )
