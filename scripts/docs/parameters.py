"""The tables of parameters, made from their schemas."""

from __future__ import annotations

import textwrap

from stacks.parameters import GROUPS, Parameter, parameters_of

# What a description ends with where an empty value means the model's own; its value for the default model follows.
MODELS_OWN = "Empty: the model's own, for Stable Diffusion v1 "
# What the README keeps: the parameters that people change. Each row may hold several.
CHANGED_OFTEN = (("Prompt",), ("Model",), ("Height", "Width"), ("Steps",), ("InstanceType",))


def parameter_table(title: str) -> str:
    """All parameters of one group: a row each, with what a second sentence of the description adds in a list below."""
    parameters = list(parameters_of(GROUPS[title]))
    rows = [
        f"| `{one.name}` | {_default(one)} | {_meaning(one)} | {one.rule} |".replace("\n", " ") for one in parameters
    ]
    notes = [
        textwrap.fill(f"- `{one.name}`: {_notes(one)}", 120, subsequent_indent="  ", break_on_hyphens=False)
        for one in parameters
        if _notes(one)
    ]
    head = ["| name | default | meaning | allowed values |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows, "", *notes])


def common_parameters() -> str:
    """The parameters that people change most, as a table, and the one setting."""
    parameters = {one.name: one for title in GROUPS for one in parameters_of(GROUPS[title])}
    rows = [
        f"| {', '.join(f'`{name}`' for name in names)} | {', '.join(_default(parameters[name]) for name in names)} "
        f"| {' '.join(_meaning(parameters[name]) for name in names)} |"
        for names in CHANGED_OFTEN
    ]
    spot = "| `-c spot=true` | `false` | A spot instance: about half the price, and EC2 may take it back. |"
    return "\n".join(["| name | default | meaning |", "| --- | --- | --- |", *rows, spot])


def _default(parameter: Parameter) -> str:
    default = parameter.properties["default"]
    if default:
        return f"`{default}`"
    models_own = parameter.description.partition(MODELS_OWN)[2].removesuffix(".")
    return f"{models_own} (the model's)" if models_own else "(empty)"


def _meaning(parameter: Parameter) -> str:
    return parameter.description.partition(". ")[0].removesuffix(".") + "."


def _notes(parameter: Parameter) -> str:
    return parameter.description.partition(MODELS_OWN)[0].partition(". ")[2].strip()
