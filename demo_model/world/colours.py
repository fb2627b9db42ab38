"""The colours: their words, and the ramp from shadow over body to light that repaints a thing."""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Colour:
    """One colour. `shadow`, `body` and `light` are sRGB, 0 to 255; `body` is also that of a plain background."""

    name: str
    shadow: Rgb
    body: Rgb
    light: Rgb
    synonyms: tuple[str, ...] = ()


COLOURS: tuple[Colour, ...] = (
    Colour("red", (90, 0, 5), (222, 35, 40), (255, 190, 185), ("crimson", "scarlet")),
    Colour("orange", (120, 45, 0), (245, 130, 20), (255, 220, 175)),
    Colour("yellow", (140, 100, 0), (250, 210, 35), (255, 248, 200), ("golden", "gold")),
    Colour("green", (0, 60, 15), (50, 165, 65), (200, 245, 200)),
    Colour("blue", (5, 20, 100), (40, 95, 225), (190, 215, 255), ("azure",)),
    Colour("purple", (45, 5, 85), (135, 60, 190), (228, 200, 250), ("violet",)),
    Colour("pink", (140, 20, 80), (250, 130, 185), (255, 225, 240)),
    Colour("brown", (45, 20, 5), (135, 82, 45), (222, 190, 160)),
    Colour("black", (5, 5, 8), (45, 45, 50), (150, 150, 158)),
    Colour("white", (150, 150, 158), (238, 238, 240), (255, 255, 255)),
    Colour("gray", (50, 52, 55), (140, 143, 148), (222, 224, 228), ("grey", "silver")),
)
COLOUR_INDEX: dict[str, int] = {colour.name: number for number, colour in enumerate(COLOURS)}
