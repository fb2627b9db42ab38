"""The licence and the attribution that travel with the model's weights."""

from __future__ import annotations

from demo_model.world.sprites import SPRITES

NAME = "LICENSE"
_BEGINNING = "SIL OPEN FONT LICENSE Version 1.1"
_ATTRIBUTION = """\
Copyright 2022 Google Inc. (the pictures of Noto Color Emoji)
Copyright 2026 the authors of sd-on-ec2 (the training and the weights)

These weights were trained from nothing, by demo_model/ of sd-on-ec2, on scenes composed of pictures of Noto Color
Emoji, version 2.042 (https://github.com/googlefonts/noto-emoji). Whether weights that were trained on a font's pictures
are a derivative work of that font is not settled: they are given under the font's own licence, which asks derivative
works to stay under it. Images drawn with them are documents in its sense, to which it does not apply.

"""


def licence_text() -> str:
    """What lies beside the weights: whose pictures and whose weights they are, and the SIL Open Font License 1.1."""
    font = (SPRITES / NAME).read_text("utf-8")
    return _ATTRIBUTION + font[font.index(_BEGINNING) :]
