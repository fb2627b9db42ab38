"""Takes the things' pictures out of the emoji font: `python -m demo_model.world.extract_sprites NotoColorEmoji.ttf`.

Needs `fonttools`. The pictures are in the repository, so this is only run when the list of things changes. Each one is
cropped to what is drawn and scaled so that its longer edge is `EDGE` pixels.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from fontTools.ttLib import TTFont
from PIL import Image

from demo_model.world.things import THINGS
from scripts.interruption.signals import ends_in_a_sentence

SPRITES = Path(__file__).parent / "sprites"
EDGE = 96
# An alpha below this, of 255, is the soft rim of a shadow, not the thing.
FAINT = 24


def extract_sprites(font_file: Path, folder: Path = SPRITES) -> None:
    """Writes one PNG for each thing into `folder`, from the font's own bitmaps (136 × 128 pixels)."""
    font = TTFont(font_file)
    glyph_of = font.getBestCmap()
    bitmaps = font["CBDT"].strikeData[0]
    for thing in THINGS:
        bitmap = bitmaps[glyph_of[ord(thing.emoji)]]
        picture = Image.open(io.BytesIO(bitmap.imageData)).convert("RGBA")
        drawn = picture.getchannel("A").point(lambda alpha: 255 * (alpha >= FAINT)).getbbox()
        picture = picture.crop(drawn)
        scale = EDGE / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture.resize(size, Image.Resampling.LANCZOS).save(folder / f"{thing.file_stem}.png", optimize=True)


if __name__ == "__main__":
    with ends_in_a_sentence():
        parser = argparse.ArgumentParser(description="Take the things' pictures out of the emoji font.")
        parser.add_argument("font", type=Path, help="NotoColorEmoji.ttf with bitmaps (CBDT)")
        extract_sprites(parser.parse_args().font)
