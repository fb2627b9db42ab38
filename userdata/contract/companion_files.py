"""The parameters `Vae` and `Embeddings`: the places of files that are used together with a model."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import List, NamedTuple

from userdata.contract.catalogue import ANY_CHECKPOINT, IN_S3, ON_THE_HUB
from userdata.contract.layout import INPUTS
from userdata.contract.lora_list import AN_INPUT, UPLOADED, same_name

# Each is a right of its own in the stack. The texts are part of EC2's user data, which must be short.
MOST_EMBEDDINGS = 4
LONGEST_VAE = 112
LONGEST_EMBEDDINGS = 160
_PLACE = rf"(?:{ON_THE_HUB}|{IN_S3}|{AN_INPUT}){ANY_CHECKPOINT}"
VAE_PATTERN = f"^$|^{_PLACE}$"
EMBEDDINGS_PATTERN = f"^$|^{_PLACE}(?:, ?{_PLACE}){{0,{MOST_EMBEDDINGS - 1}}}$"


class ListedEmbedding(NamedTuple):
    """One of the list: the `name` for prompts, which is the file's without its ending, and the `place` of its file."""

    name: str
    place: str


def listed_embeddings(embeddings: str) -> List[ListedEmbedding]:
    """The embeddings that an `Embeddings` lists. Raises `ValueError` when two of them have one name."""
    listed: List[ListedEmbedding] = []
    for place in filter(None, (part.strip() for part in embeddings.split(","))):
        stem = PurePosixPath(place).stem
        name = UPLOADED.sub("", stem) if place.startswith(INPUTS) else stem
        if any(same_name(name, other.name) for other in listed):
            raise ValueError(
                f"Embeddings lists two files with the name {name}: rename one, so that a prompt can tell them"
            )
        listed.append(ListedEmbedding(name, place))
    return listed
