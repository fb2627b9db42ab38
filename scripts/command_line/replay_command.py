"""`sd replay`: its options, and whether the image is made here or on an instance."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.deploying.wish import Yes
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.plain_text import print_plain
from scripts.command_line.terminal.settings_option import Context


def replay(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A PNG that a run has made.")],
    model_folder: Annotated[
        str,
        typer.Option(metavar="MODEL", help="The model: a folder, a checkpoint, or a name; default: the image's model."),
    ] = "",
    init_img: Annotated[
        Path | None,
        typer.Option("--init-img", "--init_img", metavar="FILE", help="The initial image, if the run had one."),
    ] = None,
    init_mask: Annotated[
        Path | None,
        typer.Option("--init-mask", "--init_mask", metavar="FILE", help="The mask, if the run had one."),
    ] = None,
    lora_file: Annotated[
        list[Path], typer.Option(metavar="FILE", help="A LoRA that the image was made with; once for each.")
    ] = [],  # noqa: B006  # typer reads it and makes its own
    vae_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The VAE that the image was made with, if it has one of its own."),
    ] = None,
    embedding_file: Annotated[
        list[Path], typer.Option(metavar="FILE", help="An embedding that the image was made with; once for each.")
    ] = [],  # noqa: B006
    bucket: Annotated[
        str | None, typer.Option(metavar="NAME", help="The bucket that has the initial image and the mask.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="The file to write; default: a file beside the image.")
    ] = None,
    deploy: Annotated[bool, typer.Option("--deploy", help="Make the image on an instance instead of here.")] = False,
    yes: Yes = False,
    context: Context = [],  # noqa: B006  # typer reads it and makes its own
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Make an image again, and compare both bit for bit.

    They are the same on the same hardware with the same versions of the libraries. If not, the exit status is 1.
    """
    from scripts.command_line.deploying.deploy import deploy as deploy_job
    from scripts.command_line.results.replay import find_initial_image, parameters_for, read_record, replay_here
    from scripts.command_line.terminal.session import open_session
    from userdata.worker.process.library_environment import LIBRARY_ENVIRONMENT

    record = read_record(image)
    if deploy:
        if record.checkpoint:
            raise CommandError(
                f"The image was made with {record.checkpoint}, a checkpoint of some machine. Make it again on that "
                "machine, with --model-folder."
            )
        parameters, position = parameters_for(record)
        console = Console(stderr=True)
        print_plain(f"The image will be number {position:05} of this run.", Console())
        session = open_session(region, profile)
        deploy_job(
            session, stack=stack, given=parameters, context=context, fetch_to=Path("results"), console=console, yes=yes
        )
        return
    os.environ.update(LIBRARY_ENVIRONMENT)
    initial_image = find_initial_image(record, init_img, bucket, lambda: open_session(region, profile), init_mask)
    target = to or image.with_name(f"{image.stem}-replay.png")
    if not replay_here(
        image,
        record,
        model=model_folder,
        initial_image=initial_image,
        loras=lora_file,
        vae=vae_file,
        embeddings=embedding_file,
        to=target,
        console=Console(),
    ):
        raise typer.Exit(1)
