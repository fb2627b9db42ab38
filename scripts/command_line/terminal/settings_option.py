"""The option for settings, of the commands that deploy or plan a deploy."""

from __future__ import annotations

from typing import Annotated

import typer

from stacks.facts.settings import Settings

Context = Annotated[
    list[str],
    typer.Option(
        "--context",
        "-c",
        metavar="NAME=VALUE",
        help=f"A setting, as for `cdk deploy`. The settings are {', '.join(Settings.model_fields)}.",
    ),
]
