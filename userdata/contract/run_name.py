"""The name of a run, made from what was asked for, so that the same request is recognised as the same run."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from pathlib import PurePosixPath
from typing import Dict, Mapping, Union

from userdata.contract.catalogue import find_model
from userdata.contract.image_size import EDGES, round_edge, takes_size_of_image

# CloudFormation hands numbers over as text: "7.5" and "7.50" are one request. A test holds this list against the
# job's schema, which the boot cannot import: it runs before pydantic is there.
NUMBERS = frozenset(
    {"Height", "Width", "Steps", "Iterations", "Samples", "GuidanceScale", "Seed", "Eta", "Rows", "Strength"},
)
WORDS = frozenset(
    {
        "Prompt",
        "NegativePrompt",
        "Sampler",
        "FixedCode",
        "Precision",
        "Model",
        "Engine",
        "Lora",
        "InitImage",
        "PromptFile",
        "SkipGrid",
        "SafetyChecker",
        "Watermark",
        "RunId",
    }
)

# Words that came later, each with its usual value: with that, a run keeps the name that it had before.
LATER_WORDS = {"Prediction": "auto", "Vae": "", "Embeddings": "", "InitMask": "", "Upscale": "1", "Quantize": "auto"}
# Whole numbers below are exact as fractions.
EXACT = 2**53

# A job's fields by the parameters' names, as far as a model has values of its own for them.
MODELS_OWN = {"Height": "H", "Width": "W", "Steps": "ddim_steps", "GuidanceScale": "scale", "Sampler": "sampler"}


def run_name(parameters: Mapping[str, Union[str, int, float]]) -> str:
    """Names a run: the first words of its prompt or its prompt file's name, and ten hexadecimal digits.

    `parameters` maps CloudFormation parameter names to values, as text or as numbers; parameters that do not describe
    the images (the machine's) are passed over. What is left to the model is one request with the same value given, and
    so are edges that are rounded to the same; edges that are left to the initial image are another. Raises `KeyError`
    when one that does is missing, and `ValueError` when a number is not one.
    """
    whole = _with_the_models_own(parameters)
    for name in EDGES:
        edge = round_edge(whole[name], model=str(whole["Model"]))
        whole[name] = 0 if takes_size_of_image(parameters) else edge
    canonical = {name: _number(whole[name]) for name in NUMBERS}
    words = {name: str(whole[name]) for name in WORDS}
    later = {name: str(whole.get(name, usual)) for name, usual in LATER_WORDS.items()}
    words.update({name: word for name, word in later.items() if word != LATER_WORDS[name]})
    request = json.dumps({**canonical, **words}, sort_keys=True)
    digest = hashlib.sha256(request.encode()).hexdigest()[:10]
    title = PurePosixPath(str(parameters["PromptFile"])).stem or str(parameters["Prompt"])
    return f"{slug(title)}-{digest}"


def _number(value: Union[str, int, float]) -> Union[int, float]:
    """`value` as a number. A large seed stays whole: as a fraction it would lose digits, and be another's name."""
    number = float(value)
    return number if abs(number) < EXACT else int(value)


def _with_the_models_own(parameters: Mapping[str, Union[str, int, float]]) -> Dict[str, Union[str, int, float]]:
    whole = dict(parameters)
    empty = [name for name in MODELS_OWN if whole[name] == ""]
    if empty:
        try:
            defaults = find_model(str(whole["Model"])).defaults
        except KeyError as error:
            raise ValueError(f"{error} is no model") from error
        whole.update({name: defaults[MODELS_OWN[name]] for name in empty})
    return whole


def slug(prompt: str) -> str:
    """The first words of a text, as a run's name begins with them."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    slug = "-".join(words)[:40].strip("-")
    return slug or "run"
