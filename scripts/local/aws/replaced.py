"""Replaces attributes of moto's classes for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def replaced(replacements: Mapping[tuple[type, str], Any]) -> Iterator[None]:
    """Sets the attributes of classes while the context lasts, also those that a class does not have.

    Keys are the class and the attribute's name.
    """
    originals = {key: key[0].__dict__[key[1]] for key in replacements if key[1] in key[0].__dict__}
    for (owner, name), replacement in replacements.items():
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name in replacements:
            if (owner, name) in originals:
                setattr(owner, name, originals[owner, name])
            else:
                delattr(owner, name)
