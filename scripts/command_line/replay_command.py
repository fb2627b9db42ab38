"""The command `sd replay`: its options, and which of its two ways it goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.deploying.deploy import deploy as deploy_job
from scripts.command_line.results.replay import find_initial_image, parameters_for, read_record, replay_here
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import STACK, Context, Profile, Region, Stack, open_session
from userdata.worker.process.library_environment import LIBRARY_ENVIRONMENT


def replay(
    image: Annotated[Path, typer.Argument(help="A PNG that a run has made.")],
    model_folder: Annotated[
        str, typer.Option(help="The model: a folder, a checkpoint, or its name; default: the image's.")
    ] = "",
    init_img: Annotated[
        Path | None, typer.Option("--init-img", "--init_img", help="The initial image, if there was one.")
    ] = None,
    lora_file: Annotated[Path | None, typer.Option(help="The LoRA, if there was one.")] = None,
    bucket: Annotated[str | None, typer.Option(help="The bucket that has the initial image.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; default: beside the image.")] = None,
    deploy: Annotated[bool, typer.Option("--deploy", help="Make it on an instance instead of here.")] = False,
    context: Context = [],  # noqa: B006  # typer reads it and makes its own
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Make an image again from what it carries, and say whether it is the same, bit for bit.

    On the same hardware, with the same versions of the libraries, it is. The exit status is 1 when it is not.
    """
    console = Console()
    record = read_record(image)
    if deploy:
        if record.checkpoint:
            raise CommandError(
                f"The image was made with {record.checkpoint} of some machine. Make it there, with --model-folder."
            )
        parameters, position = parameters_for(record)
        console.print(f"It will be image {position:05} of this run.", highlight=False)
        session = open_session(region, profile)
        deploy_job(
            session,
            stack=stack,
            given=parameters,
            context=context,
            fetch_to=Path("results"),
            console=Console(stderr=True),
        )
        return
    os.environ.update(LIBRARY_ENVIRONMENT)
    initial_image = find_initial_image(record, init_img, bucket, lambda: open_session(region, profile))
    target = to or image.with_name(f"{image.stem}-replay.png")
    same = replay_here(
        image,
        record,
        model=model_folder,
        initial_image=initial_image,
        lora=lora_file,
        to=target,
        console=console,
    )
    if not same:
        raise typer.Exit(1)
