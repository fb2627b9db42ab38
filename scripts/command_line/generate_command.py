"""`sd generate`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json
from scripts.command_line.terminal.parameter_options import with_image_options

USUAL_HOLD = "10m"


@with_image_options
def generate(
    parameters: dict[str, str],
    hold: Annotated[
        str,
        typer.Option(
            "--hold",
            metavar="LENGTH",
            help="How long the instance stays up for your next prompt: 10m, 1h30m, or off for IdleMinutes alone.",
        ),
    ] = USUAL_HOLD,
    show: Annotated[bool, typer.Option("--show", help="Show the last images in the terminal, too.")] = False,
    as_json: Json = False,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder for downloads.")] = Path("results"),
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Draw on the instance that stands, without a deploy, and download the images. It is started if it is stopped.

    An option that is not given has its default; but the model with its precision, prediction, VAE, embeddings and
    engine, the safety checker and the watermark are those of the deployment.
    """
    from scripts.command_line.generating.generate import generate as generate_images
    from scripts.command_line.terminal.session import open_session

    generate_images(
        open_session(region, profile),
        stack=stack,
        given=parameters,
        hold=hold,
        fetch_to=to,
        console=Console(stderr=True),
        as_json=as_json,
        show=show,
    )
