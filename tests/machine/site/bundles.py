"""Bundles whose pins are those of a test's own files; the code in them is the product's."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

from scripts.local.command_environment import CHECKOUT
from tests.machine.booted.gateway import Answer, Fault, Request
from tests.machine.site.site import zipped
from tests.machine.site.waiting import PATIENCE

USERDATA = CHECKOUT / "userdata"
MODEL = "stable-diffusion-v1-5"
# Put below a module of the worker that is imported before it draws.
FULL_GPU = """

import torch
from diffusers import UNet2DConditionModel


def full(*words, **names):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


UNet2DConditionModel.forward = full
"""


def weights_pinned(content: bytes, userdata: Path = USERDATA) -> dict[str, str]:
    """The catalogue, with `content` for the model's weights."""
    catalogue = json.loads((userdata / "models.json").read_text("utf-8"))
    catalogue[MODEL]["files"][0] |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    return {"models.json": json.dumps(catalogue)}


def small_weights(model: str) -> dict[str, str]:
    """The catalogue, with files of one byte for `model`, so that a disk of any size has room for them."""
    catalogue = json.loads((USERDATA / "models.json").read_text("utf-8"))
    for file in catalogue[model]["files"]:
        file["bytes"] = 1
    return {"models.json": json.dumps(catalogue)}


def safety_checker_pinned(content: bytes, userdata: Path = USERDATA) -> dict[str, str]:
    """The safety checker, with `content` for its weights."""
    checker = json.loads((userdata / "safety-checker.json").read_text("utf-8"))
    (only,) = checker.values()
    only["files"][0] |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    return {"safety-checker.json": json.dumps(checker)}


def in_pieces(*, of: int) -> dict[str, str]:
    """Every download in ranges of so many bytes, however small it is."""
    request = (USERDATA / "boot/fetch/request.py").read_text("utf-8")
    smaller = re.sub("ranges_from: int = .*", "ranges_from: int = 0", request)
    return {"boot/fetch/request.py": re.sub("piece_bytes: int = .*", f"piece_bytes: int = {of}", smaller)}


def environment_pinned(installer: bytes, requirements: str, userdata: Path = USERDATA) -> dict[str, str]:
    """The environment's packages, and `installer` for Miniforge's."""
    conda = (userdata / "boot/steps/conda.py").read_text("utf-8")
    pinned, count = re.subn(r'^SHA256 = "\w+"$', f'SHA256 = "{sha256(installer).hexdigest()}"', conda, flags=re.M)
    assert count == 1
    return {"boot/steps/conda.py": pinned, "requirements.txt": requirements}


def facts_to_the_last() -> dict[str, str]:
    """A boot that waits for every fact of the machine, however busy the host is: they are gathered when it is not."""
    facts = (USERDATA / "boot/telling/facts.py").read_text("utf-8")
    return {"boot/telling/facts.py": re.sub("(?m)^PATIENCE_SECONDS = .*", f"PATIENCE_SECONDS = {PATIENCE}", facts)}


def gpu_without_memory() -> dict[str, str]:
    """A worker whose UNet finds the GPU's memory full, whatever it is asked for."""
    samplers = (USERDATA / "worker/drawing/samplers.py").read_text("utf-8")
    return {"worker/drawing/samplers.py": samplers + FULL_GPU}


def instead_of_the_bundle(changed: dict[str, str], userdata: Path = USERDATA) -> Fault:
    """S3 has a bundle of `userdata` with `changed` files in it, which it gives in whole or in the range asked for."""
    content = zipped(userdata, changed)
    headers = {"ETag": f'"{sha256(content).hexdigest()[:32]}"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}

    def fault(request: Request) -> Answer | None:
        if not request.path.split("?")[0].endswith(".zip"):
            return None
        # The AWS CLI asks for anything above 8 MB in parts, beside each other.
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if not asked:
            return Answer(200, content, headers)
        first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
        part = {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return Answer(206, content[first : last + 1], part)

    return fault
