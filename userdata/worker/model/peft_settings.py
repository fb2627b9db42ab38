"""PEFT's settings in the header of a LoRA: the scale of layers that have no alpha beside them.

diffusers puts them there. They are a stranger's: a rank that they tell is never believed, because each layer's shape
tells it, and of their regular expressions those alone are taken that cannot keep the processor busy for hours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from userdata.contract.outside import read_json

METADATA = "lora_adapter_metadata"
# A model has up to 2,000 layers, each of which may have an alpha of its own.
MOST_PATTERNS = 2000
MOST_EXPRESSIONS = 16
_PATH = re.compile(r"[\w.-]{1,200}")
# No groups, so that nothing is repeated within a repetition, and two repetitions at most.
_EXPRESSION = re.compile(r"(?=.{1,200}\Z)[\w.\\^$-]*(?:[*+?][\w.\\^$-]*){0,2}")


class PeftSettings:
    """The settings in a header's `metadata`; none where they are no JSON."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        try:
            self._settings: Mapping[str, Any] = read_json(metadata.get(METADATA, "{}"))
        except ValueError:
            self._settings = {}
        self._read: dict[str, list[tuple[re.Pattern[str], float]]] = {}

    def scale(self, component: str, path: str, rank: int) -> float | None:
        """The scale of the layer at `path` of `component`; None where nothing is said of it.

        It is alpha / rank, or alpha / √rank (arXiv:2312.03732). A layer's own alpha stands under the end of its path.
        Raises `ValueError` for settings that cannot be read, and `ZeroDivisionError` for a layer without a rank.
        """
        alpha = self._setting(component, "lora_alpha")
        if alpha is None:
            return None
        own = next((of for pattern, of in self._patterns(component) if pattern.fullmatch(path)), _number(alpha))
        return own / (math.sqrt(rank) if self._setting(component, "use_rslora") else rank)

    def _setting(self, component: str, name: str) -> Any:
        return self._settings.get(f"{component}.{name}", self._settings.get(name))

    def _patterns(self, component: str) -> list[tuple[re.Pattern[str], float]]:
        if component not in self._read:
            told = self._setting(component, "alpha_pattern") or {}
            if not isinstance(told, dict) or len(told) > MOST_PATTERNS:
                raise ValueError("the alphas of its layers are no list of them")
            if sum(not _PATH.fullmatch(pattern) for pattern in told) > MOST_EXPRESSIONS:
                raise ValueError(f"the alphas of its layers have more than {MOST_EXPRESSIONS} regular expressions")
            self._read[component] = [(_pattern(pattern), _number(alpha)) for pattern, alpha in told.items()]
        return self._read[component]


def _pattern(text: str) -> re.Pattern[str]:
    if not _EXPRESSION.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no path of a layer")
    try:
        return re.compile(rf"(?:.*\.)?(?:{text})")
    except re.error as error:
        raise ValueError(f"{text[:80]!r} is no path of a layer ({error})") from error


def _number(alpha: object) -> float:
    if not isinstance(alpha, (int, float)) or not abs(alpha) <= 1e9:
        raise ValueError(f"{str(alpha)[:80]!r} is no alpha")
    return float(alpha)
