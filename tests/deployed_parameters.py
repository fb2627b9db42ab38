"""Parameters as the stack writes them into the user data."""

from __future__ import annotations

import base64

from stacks.parameters import GROUPS, parameters_of

FREE_TEXT = frozenset(one.name for model in GROUPS.values() for one in parameters_of(model) if not one.is_plain)


def carried(parameters: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What is carried as it is, and what is carried as base64 of the text and a newline."""
    free_text = {name: value for name, value in parameters.items() if name in FREE_TEXT}
    return (
        {name: value for name, value in parameters.items() if name not in FREE_TEXT},
        {name: base64.b64encode(f"{value}\n".encode()).decode() for name, value in free_text.items()},
    )


def parameter_lines(parameters: dict[str, str]) -> str:
    """The file of parameters that a machine has."""
    plain, free_text = carried(parameters)
    lines = [f"{name}:{value}" for name, value in plain.items()]
    return "\n".join([*lines, *(f"{name};base64,{value}" for name, value in free_text.items()), ""])
