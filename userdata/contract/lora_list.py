"""The parameter `Lora`: a list of files with weights, and the names under which prompts ask for them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import List, NamedTuple

from userdata.contract.catalogue import IN_S3, ON_THE_HUB
from userdata.contract.layout import INPUTS

# Each of them is a right of its own in the stack. The whole list is part of EC2's user data, which must be short.
MOST_LORAS = 4
LONGEST_LORAS = 320
LARGEST_WEIGHT = 9.0
# A file of the results bucket, where a person's own inputs are.
AN_INPUT = rf"{INPUTS}[A-Za-z0-9_./+=@-]+"
# `:0.8` behind a file is its weight, as in the community's <lora:name:0.8>.
_ONE = rf"(?:{ON_THE_HUB}|{IN_S3}|{AN_INPUT})\.safetensors(?::-?(?:[0-8](?:\.[0-9]{{1,3}})?|9(?:\.0{{1,3}})?))?"
LORAS_PATTERN = f"^$|^{_ONE}(?:, ?{_ONE}){{0,{MOST_LORAS - 1}}}$"
# What an upload puts behind the name of a person's own file, so that each content has a key of its own.
UPLOADED = re.compile(r"-[0-9a-f]{8}$")


class ListedLora(NamedTuple):
    """One of the list: the `name` for prompts, the `place` of its file, and the weight for images that name no other.

    The name is the file's without its ending, and for an upload without what the upload added.
    """

    name: str
    place: str
    weight: float


def listed_loras(loras: str) -> List[ListedLora]:
    """The LoRAs that a `Lora` lists. Raises `ValueError` when two of them have one name."""
    listed: List[ListedLora] = []
    for one in filter(None, (part.strip() for part in loras.split(","))):
        place, colon, weight = one.rpartition(":")
        if not (colon and place.endswith(".safetensors")):
            place, weight = one, "1"
        stem = PurePosixPath(place).name[: -len(".safetensors")]
        name = UPLOADED.sub("", stem) if place.startswith(INPUTS) else stem
        if any(same_name(name, other.name) for other in listed):
            raise ValueError(f"Lora lists two files with the name {name}: rename one, so that a prompt can tell them")
        listed.append(ListedLora(name, place, float(weight)))
    return listed


def is_file_of(name: str, stem: str) -> bool:
    """Whether a file called `stem`, perhaps as an upload, is that of the LoRA `name`."""
    return same_name(stem, name) or same_name(UPLOADED.sub("", stem), name)


def lora_text(place: str, weight: float) -> str:
    """One of a `Lora`'s list."""
    return f"{place}:{weight:.3f}".rstrip("0").rstrip(".") if weight != 1 else place


def same_name(typed: str, name: str) -> bool:
    """Whether a typed name is that of a file, whose spaces and signs an upload turns into dashes."""
    return key_stem(typed) == key_stem(name)


def key_stem(name: str) -> str:
    """`name` with the characters that a key in the results bucket may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
