"""Puts our own in the place of moto's, for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def replaced(replacements: Mapping[tuple[type, str], Any]) -> Iterator[None]:
    """Sets the attributes of classes while the context lasts. Keys are the class and the attribute's name."""
    originals = {(owner, name): owner.__dict__[name] for owner, name in replacements}
    for (owner, name), replacement in replacements.items():
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for (owner, name), original in originals.items():
            setattr(owner, name, original)
