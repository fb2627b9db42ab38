"""Keeps a library that a run does not use from being imported."""

from __future__ import annotations

import sys


def import_no_peft() -> None:
    """Has diffusers and transformers take PEFT for not installed, in this process, until it ends.

    diffusers imports PEFT with any model, which takes half a second to a second, and uses it for nothing but LoRA.
    Only for a process that does one run: a LoRA cannot be loaded afterwards. Once diffusers is imported it does
    nothing: diffusers then counts on PEFT, and would fail without it.

    None in `sys.modules` is Python's own way to say that there is no such module (the language reference, "The module
    cache"), which `importlib.util.find_spec`, what the two libraries ask, heeds. An environment without PEFT for runs
    without a LoRA would be a second environment to build and to keep.
    """
    if "diffusers" in sys.modules:
        return
    sys.modules["peft"] = None  # type: ignore[assignment]
