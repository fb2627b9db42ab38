"""`sd compare`: its options."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json, print_document
from scripts.command_line.terminal.known_runs import complete_runs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WHAT = "A run, an image of one (RUN/00003), or a PNG on this disk."


def compare(
    first: Annotated[str, typer.Argument(metavar="FIRST", autocompletion=complete_runs, help=WHAT)],
    second: Annotated[
        str, typer.Argument(metavar="SECOND", autocompletion=complete_runs, help="What it is compared with.")
    ],
    images: Annotated[bool, typer.Option("--images", help="Compare the images' pixels, too.")] = False,
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="The bucket; default: the stack's.")] = None,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show what differs between two runs or images: options, versions, card, seconds, dollars, pixels."""
    from scripts.command_line.account.deployment import RETRIES
    from scripts.command_line.account.results_bucket import find_bucket
    from scripts.command_line.results.compare import compare as compare_subjects
    from scripts.command_line.results.compare import show_comparison
    from scripts.command_line.results.subjects import find_subject
    from scripts.command_line.terminal.session import open_session

    @functools.cache  # two files on this disk ask nobody
    def place() -> tuple[S3Client, str]:
        session = open_session(region, profile)
        return session.client("s3", config=RETRIES), find_bucket(session, stack=stack, bucket=bucket)

    found = compare_subjects(find_subject(first, place), find_subject(second, place), with_images=images)
    if as_json:
        print_document(found)
    else:
        show_comparison(found, Console())
