"""The size of images: how an edge is rounded, and when the initial image decides."""

from __future__ import annotations

from typing import Any, List, Mapping, Union

from userdata.contract.catalogue import find_model

EDGES = ("Height", "Width")
SHORTEST_EDGE, LONGEST_EDGE = 64, 2048
# Of the file of an initial image or a mask.
MOST_FILE_BYTES = 256 * 1024 * 1024
# Of most models: the autoencoder makes one latent of 8 x 8 pixels.
USUAL_MULTIPLE = 8
# Python refuses to read thousands of them, in words that are not for the person who typed them.
MOST_DIGITS = 20
# img2img.py rounds the size of its image down to this.
INITIAL_IMAGE_MULTIPLE = 32


def round_edge(value: Any, *, model: str) -> Any:
    """`value`, a whole number of pixels as a number or as text, rounded down to what `model`'s images are multiples of.

    Anything else, and what is too small or too large, is returned as it is, for the job's rules to refuse.
    """
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, str) and is_whole(value))):
        return value
    multiple = _multiple(model)
    return int(value) // multiple * multiple if SHORTEST_EDGE <= int(value) <= LONGEST_EDGE else value


def takes_size_of_image(parameters: Mapping[str, Union[str, int, float]]) -> bool:
    """Whether a run's images have the size of its initial image, because the job names an image and no edge."""
    return bool(parameters.get("InitImage")) and all(parameters.get(name, "") == "" for name in EDGES)


def rounded_in_words(parameters: Mapping[str, str]) -> List[str]:
    """A sentence for each edge of `parameters` that is rounded."""
    model = str(parameters.get("Model", ""))
    told = []
    for name in EDGES:
        asked = parameters.get(name, "")
        rounded = round_edge(asked, model=model)
        if rounded != asked and str(rounded) != str(asked):
            told.append(
                f"{name} {asked} is rounded down to {rounded}: the model's images are multiples of "
                f"{_multiple(model)} pixels."
            )
    return told


def is_whole(text: str) -> bool:
    """Whether `text` is a whole number from 0, in digits alone, and no longer than any that is asked for."""
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def _multiple(model: str) -> int:
    try:
        return find_model(model).size_multiple
    except KeyError:
        return USUAL_MULTIPLE
