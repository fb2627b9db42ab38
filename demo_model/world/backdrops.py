"""What is behind the things: skies by the time of day, and places drawn with a few shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy
import torch
from PIL import Image, ImageDraw

from demo_model.world.colours import Rgb

# The size of a drawn place in pixels; a scene shows a part of it, down to its lower edge.
WIDTH, HEIGHT = 192, 160
HORIZON = 108
VARIANTS = 6


@dataclass(frozen=True)
class Time:
    """A time of day or a weather: the sky's colours at the top and at the horizon, and the light on the ground."""

    name: str
    top: Rgb
    bottom: Rgb
    light: tuple[float, float, float]
    overlay: str = "nothing"


TIMES: tuple[Time, ...] = (
    Time("day", (110, 185, 245), (205, 232, 250), (1, 1, 1)),
    Time("night", (8, 10, 40), (30, 38, 90), (0.32, 0.36, 0.55), "stars"),
    Time("sunset", (95, 50, 120), (255, 140, 50), (0.85, 0.55, 0.45)),
    Time("dawn", (150, 170, 225), (255, 205, 210), (0.95, 0.85, 0.9)),
    Time("rain", (95, 105, 118), (160, 168, 178), (0.65, 0.7, 0.75), "rain"),
)
PLACES = (
    "nowhere",
    "meadow",
    "forest",
    "beach",
    "desert",
    "snow",
    "city",
    "sea",
    "mountains",
    "space",
    "room",
    "underwater",
)
# Places that have no sky, and so no time of day.
SKYLESS = frozenset({"space", "room", "underwater"})
OVERLAYS = ("nothing", "stars", "rain")

Pen = ImageDraw.ImageDraw


def _ground(pen: Pen, upper: Rgb, lower: Rgb, start: int = HORIZON) -> None:
    for y in range(start, HEIGHT):
        share = (y - start) / max(1, HEIGHT - 1 - start)
        pen.line([(0, y), (WIDTH, y)], tuple(round(a + (b - a) * share) for a, b in zip(upper, lower, strict=True)))


def _dots(pen: Pen, random: Random, count: int, colour: Rgb, *, lowest: int = HEIGHT) -> None:
    for _ in range(count):
        x, y, size = random.uniform(0, WIDTH), random.uniform(0, lowest), random.uniform(0.6, 1.6)
        pen.ellipse([x - size, y - size, x + size, y + size], colour)


def _nowhere(_pen: Pen, _random: Random) -> None:
    """Nothing but the sky's colours."""


def _meadow(pen: Pen, _random: Random) -> None:
    _ground(pen, (135, 200, 95), (85, 160, 65))


def _forest(pen: Pen, random: Random) -> None:
    _ground(pen, (72, 120, 60), (45, 88, 42))
    for foot, colour in ((HORIZON + 2, (70, 128, 82)), (HORIZON + 8, (36, 88, 52))):
        x = random.uniform(-10, 8)
        while x < WIDTH + 10:
            tall, half = random.uniform(62, 92), random.uniform(11, 15)
            pen.rectangle([x - 2, foot - 10, x + 2, foot], (82, 56, 36))
            for part in range(3):
                base = foot - 8 - part * tall * 0.24
                wide = half * (1 - 0.22 * part)
                pen.polygon([(x - wide, base), (x + wide, base), (x, base - tall * 0.46)], colour)
            x += random.uniform(21, 30)


def _beach(pen: Pen, random: Random) -> None:
    _ground(pen, (40, 140, 200), (70, 190, 215), HORIZON - 16)
    shore = HORIZON + 4
    points = [(x, shore + 2 * math.sin(x / 17 + random.uniform(0, 0.4))) for x in range(0, WIDTH + 8, 8)]
    pen.polygon([*points, (WIDTH, HEIGHT), (0, HEIGHT)], (244, 220, 160))
    pen.line(points, (255, 255, 255), 2)


def _desert(pen: Pen, random: Random) -> None:
    for level, colour in ((HORIZON - 6, (235, 185, 105)), (HORIZON + 8, (222, 160, 80))):
        phase = random.uniform(0, 6)
        ridge = [(x, level + 9 * math.sin(x / 30 + phase)) for x in range(0, WIDTH + 6, 6)]
        pen.polygon([*ridge, (WIDTH, HEIGHT), (0, HEIGHT)], colour)


def _snow(pen: Pen, random: Random) -> None:
    _ground(pen, (222, 232, 245), (250, 252, 255))
    _dots(pen, random, 70, (255, 255, 255), lowest=HORIZON)


def _city(pen: Pen, random: Random) -> None:
    x = -5.0
    while x < WIDTH:
        wide, tall = random.uniform(16, 26), random.uniform(34, 84)
        shade = random.randint(85, 125)
        pen.rectangle([x, HORIZON - tall, x + wide, HORIZON + 4], (shade - 15, shade - 5, shade + 15))
        for wx in range(round(x) + 4, round(x + wide) - 4, 6):
            for wy in range(round(HORIZON - tall) + 5, HORIZON - 6, 9):
                pen.rectangle([wx, wy, wx + 2, wy + 4], (250, 225, 140))
        x += wide + 1
    _ground(pen, (120, 122, 126), (90, 92, 96), HORIZON + 4)


def _sea(pen: Pen, random: Random) -> None:
    _ground(pen, (50, 135, 205), (15, 80, 160), HORIZON - 20)
    for y in range(HORIZON - 12, HEIGHT, 11):
        x = random.uniform(-12, 0)
        while x < WIDTH:
            pen.arc([x, y, x + 14, y + 7], 20, 160, (165, 215, 240), 1)
            x += 26


def _mountains(pen: Pen, random: Random) -> None:
    x = random.uniform(-30, 0)
    while x < WIDTH + 20:
        half, tall = random.uniform(32, 46), random.uniform(62, 88)
        pen.polygon([(x - half, HORIZON + 2), (x + half, HORIZON + 2), (x, HORIZON - tall)], (112, 122, 148))
        cap = 0.3
        pen.polygon(
            [
                (x - half * cap, HORIZON - tall * (1 - cap)),
                (x + half * cap, HORIZON - tall * (1 - cap)),
                (x, HORIZON - tall),
            ],
            (245, 248, 252),
        )
        x += random.uniform(40, 56)
    _ground(pen, (130, 180, 105), (90, 145, 75))


def _space(pen: Pen, random: Random) -> None:
    _ground(pen, (22, 8, 42), (48, 16, 72), 0)
    _dots(pen, random, 80, (255, 255, 255))


def _room(pen: Pen, random: Random) -> None:
    wall = random.choice(((238, 222, 195), (226, 214, 206), (240, 226, 205)))
    pen.rectangle([0, 0, WIDTH, HEIGHT], wall)
    for x in range(random.randint(0, 11), WIDTH, 24):
        pen.rectangle([x, 0, x + 3, HORIZON + 4], tuple(round(part * 0.94) for part in wall))
    _ground(pen, (168, 112, 66), (140, 90, 50), HORIZON + 8)
    pen.rectangle([0, HORIZON + 3, WIDTH, HORIZON + 8], (250, 246, 238))


def _underwater(pen: Pen, random: Random) -> None:
    _ground(pen, (60, 185, 205), (8, 75, 125), 0)
    for _ in range(22):
        x, y, size = random.uniform(0, WIDTH), random.uniform(10, 140), random.uniform(2, 4)
        pen.ellipse([x - size, y - size, x + size, y + size], outline=(200, 240, 248))
    sand = [(x, HEIGHT - 14 + 3 * math.sin(x / 19)) for x in range(0, WIDTH + 6, 6)]
    pen.polygon([*sand, (WIDTH, HEIGHT), (0, HEIGHT)], (205, 190, 140))


def _stars(pen: Pen, random: Random) -> None:
    _dots(pen, random, 34, (255, 250, 220), lowest=HORIZON - 30)


def _rain(pen: Pen, random: Random) -> None:
    for _ in range(110):
        x, y = random.uniform(0, WIDTH), random.uniform(0, HEIGHT)
        pen.line([(x, y), (x - 2.5, y + 9)], (205, 222, 240, 170), 1)


_DRAW: dict[str, Callable[[Pen, Random], None]] = {
    "nowhere": _nowhere,
    "nothing": _nowhere,
    "meadow": _meadow,
    "forest": _forest,
    "beach": _beach,
    "desert": _desert,
    "snow": _snow,
    "city": _city,
    "sea": _sea,
    "mountains": _mountains,
    "space": _space,
    "room": _room,
    "underwater": _underwater,
    "stars": _stars,
    "rain": _rain,
}


def draw_layers(names: tuple[str, ...]) -> torch.Tensor:
    """Every variant of every named place or overlay: float32, (names × `VARIANTS`) × 4 × 160 × 192, alpha last.

    The colours, in 0 to 1, are multiplied by alpha. The same on every run.
    """
    layers = []
    for name in names:
        for variant in range(VARIANTS):
            picture = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
            _DRAW[name](ImageDraw.Draw(picture), Random(f"{name} {variant}"))  # noqa: S311
            pixels = numpy.asarray(picture, numpy.float32).transpose(2, 0, 1) / 255
            layers.append(numpy.concatenate([pixels[:3] * pixels[3:], pixels[3:]]))
    return torch.from_numpy(numpy.stack(layers))
