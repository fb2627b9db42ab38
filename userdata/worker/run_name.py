"""The name of a run, made from what was asked for, so that the same request is recognised as the same run."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import Mapping, Union

# CloudFormation hands numbers over as text: "7.5" and "7.50" are one request. A test holds this list against the
# job's schema, which the boot cannot import: it runs before pydantic is there.
NUMBERS = frozenset(
    {"Height", "Width", "Steps", "Iterations", "Samples", "GuidanceScale", "Seed", "Strength"},
)
WORDS = frozenset({"Prompt", "NegativePrompt", "Sampler", "Model", "InitImage", "RunId"})


def run_name(parameters: Mapping[str, Union[str, int, float]]) -> str:
    """Names a run: the first words of its prompt and ten hexadecimal digits over everything asked for.

    `parameters` maps CloudFormation parameter names to values, as text or as numbers; parameters that do not describe
    the images (the machine's) are passed over. Raises `KeyError` when one that does is missing, and `ValueError` when
    a number is not one.
    """
    canonical = {name: float(parameters[name]) for name in NUMBERS}
    request = json.dumps({**canonical, **{name: str(parameters[name]) for name in WORDS}}, sort_keys=True)
    digest = hashlib.sha256(request.encode()).hexdigest()[:10]
    return f"{_slug(str(parameters['Prompt']))}-{digest}"


def _slug(prompt: str) -> str:
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    slug = "-".join(words)[:40].strip("-")
    return slug or "run"
