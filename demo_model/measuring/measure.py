"""Measures the model with the judge: `python -m demo_model.measuring.measure MODEL JUDGE FOLDER`.

Text to image: on held-out combinations, whether the judge names the things, the relation and the colours that the
prompt asked for. Image to image: how much of a picture's composition stays.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch.nn import functional

from demo_model.measuring.classifier import Classifier
from demo_model.measuring.generate import draw_prompts, load_pipeline
from demo_model.measuring.train_classifier import load_classifier
from demo_model.world.backdrops import PLACES, TIMES
from demo_model.world.caption import describe
from demo_model.world.colours import COLOURS
from demo_model.world.labels import OWN_COLOUR, SEEN_RELATIONS, UNSAID, label
from demo_model.world.render import Columns, Renderer, tabulate
from demo_model.world.scene import Scene, draw_held_out_scene, draw_scene
from demo_model.world.things import THINGS
from scripts.interruption.signals import ends_in_a_sentence

logger = logging.getLogger(__name__)

IMAGES = 1000
SEED = 4242
SCALES = (1.5, 2.0, 3.0, 4.0, 5.0, 7.5)
SHOWN = 100
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


@torch.no_grad()
def judge(classifier: Classifier, pictures: torch.Tensor, rows: Columns) -> dict[str, torch.Tensor]:
    """What the judge got right, on its device, as int64 with `UNSAID` where nothing was asked.

    `things` and `colours` have two columns; `relation` accepts either side for `next to`, which `rows` marks in
    `either_side`. `all_things` is 1 where the things that were asked for are the very ones that the judge is surest of.
    """
    device = next(classifier.parameters()).device
    results = defaultdict(list)
    for start in range(0, len(pictures), 250):
        part = {name: column[start : start + 250].to(device) for name, column in rows.items()}
        answers = classifier(pictures[start : start + 250].to(device), part["things"].clamp(min=0))
        asked = part["things"] != UNSAID
        number = asked.sum(1)
        rank = answers["things"].argsort(1, descending=True).argsort(1)
        found = rank.gather(1, part["things"].clamp(min=0)) < number[:, None]
        results["things"].append(_where_said(found, part["things"]))
        results["all_things"].append(torch.where(number > 0, (found | ~asked).all(1).long(), UNSAID))
        relation = answers["relation"].argmax(1)
        beside = relation >= SEEN_RELATIONS.index("left of")
        right = (relation == part["relation"]) | (beside & (part["either_side"] == 1))
        results["relation"].append(_where_said(right, part["relation"]))
        painted = part["colours"].clamp(min=0) != OWN_COLOUR
        colours = _where_said(answers["colours"].argmax(2) == part["colours"], part["colours"])
        results["colours"].append(torch.where(painted, colours, UNSAID))
        results["count"].append(_where_said(answers["count"].argmax(1) + 1 == part["count"], part["count"]))
        for name in ("backdrop", "place", "time"):
            results[name].append(_where_said(answers[name].argmax(1) == part[name], part[name]))
    return {name: torch.cat(columns).cpu() for name, columns in results.items()}


def _where_said(right: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    return torch.where(asked == UNSAID, UNSAID, right.long())


def share(column: torch.Tensor) -> float:
    """How many of those that were asked are right, from 0 to 1."""
    said = column[column != UNSAID]
    return round(float(said.float().mean()), 4) if len(said) else float("nan")


def rows_of(scenes: Sequence[Scene]) -> Columns:
    """The labels of scenes and whether `next to` leaves the side open. A place that is not in the prompt is unsaid."""
    rows = label(scenes)
    rows["either_side"] = torch.tensor([int(scene.relation == "next to") for scene in scenes])
    stated = torch.tensor([scene.backdrop.place_is_stated for scene in scenes])
    rows["place"] = torch.where(stated, rows["place"], UNSAID)
    return rows


def by_word(scenes: Sequence[Scene], right: dict[str, torch.Tensor]) -> dict[str, dict[str, tuple[int, int]]]:
    """For each kind of word, how often each word was right and how often it was asked for."""
    rows = rows_of(scenes)
    names = {
        "things": [thing.name for thing in THINGS],
        "colours": [colour.name for colour in COLOURS],
        "backdrop": [colour.name for colour in COLOURS],
        "place": list(PLACES),
        "time": [time.name for time in TIMES],
    }
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for kind, words in names.items():
        verdicts, asked = right[kind].flatten(), rows[kind].flatten()
        counted = {}
        for number, word in enumerate(words):
            said = verdicts[(asked == number) & (verdicts != UNSAID)]
            if len(said):
                counted[word] = (int(said.sum()), len(said))
        table[kind] = counted
    relations: dict[str, tuple[int, int]] = {}
    for scene, verdict in zip(scenes, right["relation"].tolist(), strict=True):
        if scene.relation is not None:
            good, number = relations.get(scene.relation, (0, 0))
            relations[scene.relation] = (good + verdict, number + 1)
    return {**table, "relation": relations}


@torch.no_grad()
def through_vae(vae: Any, pictures: torch.Tensor) -> torch.Tensor:
    """The pictures, -1 to 1, as the autoencoder gives them back, float32."""
    parts = [
        vae.decode(vae.encode(part.to(vae.dtype)).latent_dist.mode()).sample for part in torch.split(pictures, 100)
    ]
    return torch.cat(parts).float().clamp(-1, 1)


def grid(pictures: torch.Tensor, columns: int) -> Image.Image:
    """The pictures, -1 to 1, side by side."""
    count, _, height, width = pictures.shape
    sheet = Image.new("RGB", (columns * width, -(-count // columns) * height), "white")
    pixels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    for number, picture in enumerate(pixels):
        sheet.paste(Image.fromarray(picture), (number % columns * width, number // columns * height))
    return sheet


def alikeness(one: torch.Tensor, other: torch.Tensor) -> float:
    """How alike pictures are laid out, -1 to 1: the correlation of their pixels at an eighth of the size."""
    small = [functional.avg_pool2d(p, 8).flatten(1) for p in (one, other)]
    one, other = (p - p.mean(1, keepdim=True) for p in small)
    return round(float(functional.cosine_similarity(one, other).mean()), 4)


def measure(model: Path, judge_file: Path, folder: Path, device: str, images: int = IMAGES) -> dict[str, object]:
    """All figures, of `images` pictures each; those that they were taken from go into `folder`."""
    classifier = load_classifier(judge_file, device)
    renderer = Renderer(device)
    pipeline = load_pipeline(model, device)
    random = Random(SEED)  # noqa: S311
    pairs = [draw_held_out_scene(random) for _ in range(images)]
    others = [draw_scene(random) for _ in range(images)]
    figures: dict[str, object] = {}
    composed = renderer.draw(tabulate(pairs, SEED))
    back = through_vae(pipeline.vae, composed)
    error = float((back - composed).square().mean()) / 4
    figures["autoencoder psnr in dB"] = round(-10 * float(torch.log10(torch.tensor(error))), 2)
    for name, pictures in (("composed scenes", composed), ("composed scenes through the autoencoder", back)):
        figures[f"judge on {name}"] = _shares(judge(classifier, pictures, rows_of(pairs)))
        logger.info("judge on %s: %s", name, figures[f"judge on {name}"])
    grid(torch.stack([composed[:50], back[:50]], 1).flatten(0, 1), 10).save(folder / "autoencoder.png")
    for name, scenes in (("held-out pairs", pairs), ("scenes as in the training", others)):
        prompts = [describe(scene, random) for scene in scenes]
        for scale in SCALES:
            pictures = draw_prompts(pipeline, prompts, seed=SEED, guidance_scale=scale)
            right = judge(classifier, pictures, rows_of(scenes))
            title, stem = f"{name}, guidance scale {scale:g}", name.split()[0]
            figures[title], figures[f"{title}, by word"] = _shares(right), by_word(scenes, right)
            logger.info("%s: %s", title, figures[title])
            _write(folder, figures)
            grid(pictures[:SHOWN], 10).save(folder / f"{stem}-{scale:g}.png")
            (folder / f"{stem}.txt").write_text("\n".join(prompts[:SHOWN]) + "\n", "utf-8")
    figures["image to image"] = measure_image_to_image(model, classifier, renderer, device, images // 4)
    _write(folder, figures)
    return figures


def measure_image_to_image(
    model: Path, classifier: Classifier, renderer: Renderer, device: str, images: int
) -> dict[str, dict[str, float]]:
    """For each strength: how alike the layout stays, and whose things are seen, the initial image's or the prompt's."""
    pipeline = load_pipeline(model, device, from_image=True)
    random = Random(SEED + 1)  # noqa: S311
    before, after = ([draw_scene(random) for _ in range(images)] for _ in range(2))
    initial = renderer.draw(tabulate(before, SEED))
    prompts = [describe(scene, random) for scene in after]
    figures = {}
    for strength in STRENGTHS:
        pictures = draw_prompts(pipeline, prompts, seed=SEED, image=(initial + 1) / 2, strength=strength)
        figures[f"strength {strength:g}"] = {
            "layout alike": alikeness(pictures.to(device), initial),
            "initial image's things": share(judge(classifier, pictures, rows_of(before))["all_things"]),
            "prompt's things": share(judge(classifier, pictures, rows_of(after))["all_things"]),
        }
        logger.info("strength %g: %s", strength, figures[f"strength {strength:g}"])
    return figures


def _write(folder: Path, figures: dict[str, object]) -> None:
    (folder / "measured.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _shares(right: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: share(column) for name, column in right.items()}


if __name__ == "__main__":
    with ends_in_a_sentence():
        logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
        parser = argparse.ArgumentParser(description="Measure the model in the box.")
        parser.add_argument("model", type=Path, help="the model's folder")
        parser.add_argument("judge", type=Path, help="the trained classifier's file")
        parser.add_argument("folder", type=Path, help="the folder for figures and pictures")
        parser.add_argument(
            "--images", type=int, default=IMAGES, help="pictures for each figure; a quarter from images"
        )
        arguments = parser.parse_args()
        arguments.folder.mkdir(parents=True, exist_ok=True)
        place = "cuda" if torch.cuda.is_available() else "cpu"
        measure(arguments.model, arguments.judge, arguments.folder, place, arguments.images)
