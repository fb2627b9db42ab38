"""`sd models`: what there is to draw with."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.json_option import Json, print_document
from userdata.bill.prices import RATES_REGION


def models(
    as_json: Json = False,
    region: Annotated[str, typer.Option(metavar="REGION", help="The region of the prices.")] = RATES_REGION,
) -> None:
    """List the models: what each is good at, its download, the smallest type, the price of 1,000 images."""
    from scripts.command_line.cost.models_listed import list_models, models_document, show_models

    listed = list_models(region)
    if as_json:
        print_document(models_document(listed, region))
    else:
        show_models(listed, region, Console())
