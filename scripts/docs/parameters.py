"""The README's table of parameters, made from the schemas: `python -m scripts.parameter_table`."""

from __future__ import annotations

import sys

from stacks.parameters import GROUPS, parameters_of


def parameter_table() -> str:
    """One table for each group of parameters, in Markdown."""
    return "\n\n".join(_table(title) for title in GROUPS)


def _table(title: str) -> str:
    rows = [
        f"| `{p.name}` | {_code(p.properties['default'])} | {p.description} Must be {p.rule}. |".replace("\n", " ")
        for p in parameters_of(GROUPS[title])
    ]
    return "\n".join([f"**{title}**", "", "| parameter | default | meaning |", "| --- | --- | --- |", *rows])


def _code(default: str) -> str:
    return f"`{default}`" if default else "(empty)"


if __name__ == "__main__":
    sys.stdout.write(parameter_table() + "\n")
