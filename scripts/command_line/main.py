"""The command line: every command and its options. A command that fails ends in one sentence and exit status 1."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from scripts.command_line import (
    account_commands,
    batch_command,
    batch_control_commands,
    before_commands,
    generate_command,
    look_inside_commands,
    models_command,
    replay_command,
    report_command,
    studio_command,
    watch_command,
)
from scripts.command_line.account.deployment import RETRIES, find_deployment, need_deployment
from scripts.command_line.account.identity import tell_identity
from scripts.command_line.account.instance import NoCapacityError, deployed_run_id, instance_state, start_for_job
from scripts.command_line.account.results_bucket import find_bucket, is_left_behind
from scripts.command_line.account.runs import Run, choose_runs, list_batches, list_runs, read_status
from scripts.command_line.account.unfinished_runs import with_interruptions
from scripts.command_line.account.waiting import runs_waiting, waiting_in_words
from scripts.command_line.batches.around import QUEUE, with_progress
from scripts.command_line.batches.left_behind import show_interrupted
from scripts.command_line.deploying.deploy import deploy as deploy_job
from scripts.command_line.deploying.wish import AtMost, EveryType, Types, Yes, read_wish
from scripts.command_line.ending.hold import hold_instance
from scripts.command_line.ending.stop import stop_everything
from scripts.command_line.ending.teardown import teardown
from scripts.command_line.fleet.stop import fleet_in_words
from scripts.command_line.results.fetch_results import fetch_runs, show_runs
from scripts.command_line.results.timeline import read_timelines, show_timelines
from scripts.command_line.results.watch import DOING
from scripts.command_line.terminal.checkout import version_in_words
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.common_options import STACK, Context, Profile, Region, Stack, open_session
from scripts.command_line.terminal.help import GroupedCommand, GroupedCommands
from scripts.command_line.terminal.parameter_options import with_parameter_options
from scripts.command_line.terminal.plain_text import print_plain, say
from scripts.command_line.terminal.typed_options import repeat_typed
from scripts.interruption.signals import Interrupted, end_at_once, raise_interrupted

NO_STATUS = "The run has not begun, or a later version draws it"
# `sd results --list` shows them all.
MOST_BATCHES = 3


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"sd-on-ec2 {version_in_words()}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version of this checkout."),
]
To = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder for downloads.")]


@with_parameter_options
def deploy(
    parameters: dict[str, str],
    context: Context = [],  # noqa: B006  # typer reads it and makes its own
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the images and download them.")] = False,
    to: To = Path("results"),
    types: Types = None,
    every: EveryType = False,
    at_most: AtMost = None,
    yes: Yes = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Check everything that can be checked, then `cdk deploy`. Parameters that are not given stay as they are."""
    wish = read_wish(types, every, at_most, given=parameters)
    deploy_job(
        open_session(region, profile),
        stack=stack,
        given=parameters,
        context=context,
        fetch_to=to if wait else None,
        console=Console(stderr=True),
        wish=wish,
        yes=yes,
    )


def results(
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs, by their names or beginnings of them; default: all."),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the runs, and download nothing.")] = False,
    as_zip: Annotated[bool, typer.Option("--zip", help="Put each run's images into one ZIP, too.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write a CSV of each run's images, too.")] = False,
    to: To = Path("results"),
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="The bucket; default: the stack's.")] = None,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """List the runs, and download their images. Files that are here already are not downloaded again."""
    session = open_session(region, profile)
    name = find_bucket(session, stack=stack, bucket=bucket)
    s3 = session.client("s3", config=RETRIES)
    is_left = not bucket and is_left_behind(session, stack=stack, bucket=name)
    chosen = choose_runs(list_runs(s3, name), run or [])
    runs = with_progress(session, name, with_interruptions(session, chosen, is_left=is_left))
    if not runs:
        say(f"No runs in {name} yet.")
        return
    show_runs(runs, Console(), is_left=is_left)
    if not list_only:
        fetch_runs(s3, name, runs, to, Console(stderr=True), as_zip=as_zip, as_csv=as_csv)


def status(
    timeline: Annotated[bool, typer.Option("--timeline", help="Show where the time of each boot went.")] = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show the instance, and how far the deployed job and the latest three batches are."""
    session = open_session(region, profile)
    if find_deployment(session, stack) is None:
        show_interrupted(session, stack, Console())
    deployment = need_deployment(session, stack)
    state = instance_state(session, deployment).name
    say(f"{stack} is {deployment.state}; instance {deployment.instance_id} is {state}.")
    if deployment.trouble:
        say(deployment.trouble)
    for sentence in fleet_in_words(session, deployment):
        say(sentence)
    if waiting := runs_waiting(session, deployment):
        say(f"There {'is' if waiting == 1 else 'are'} {waiting_in_words(waiting)}.")
    run_id = deployed_run_id(deployment)
    s3 = session.client("s3", config=RETRIES)
    (run,) = with_interruptions(session, [Run(run_id, read_status(s3, deployment.bucket, run_id))], deployed=run_id)
    doing = "Interrupted" if run.is_interrupted else DOING[run.status.phase] if run.status else NO_STATUS
    say(f"{doing}.")
    batches = list_batches(s3, deployment.bucket)[-MOST_BATCHES:] if QUEUE in deployment.outputs else []
    show_runs([*with_progress(session, deployment.bucket, batches), run], Console())
    if timeline:
        found = read_timelines(s3, deployment.bucket, instance_id=deployment.instance_id, run_id=run_id)
        show_timelines(found, Console())


def start(
    types: Types = None,
    every: EveryType = False,
    at_most: AtMost = None,
    yes: Yes = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Start the stopped instance, if its deployed job is not done yet, or runs wait in the queue.

    Where AWS has no such instance to give, --types or --any let a new one take its place.
    """
    wish = read_wish(types, every, at_most, given={})
    session = open_session(region, profile)
    tell_identity(session, stack)
    deployment = need_deployment(session, stack)
    try:
        _tell(start_for_job(session, deployment, deployed_run_id(deployment)).message)
    except NoCapacityError as refused:
        if wish is None:
            raise
        console = Console(stderr=True)
        print_plain(f"{deployment.instance_id} cannot be started: {refused.why}.", console, soft_wrap=True)
        deploy_job(
            session, stack=stack, given={}, context=[], fetch_to=None, console=console, wish=wish, yes=yes, is_told=True
        )


def stop(
    terminate: Annotated[bool, typer.Option("--terminate", help="Delete the instance and its disk instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a run is cut off.")] = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Stop the instance and the fleet; they upload their images first. The instance's disk stays until `sd teardown`.

    The disk costs money.
    """
    session = open_session(region, profile)
    tell_identity(session, stack)
    stop_everything(session, need_deployment(session, stack), terminate=terminate, yes=yes, tell=_tell)


def hold(
    length: Annotated[
        str | None, typer.Argument(metavar="LENGTH", help="2h, 90m, 1h30m, or off; default: show the hold.")
    ] = None,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Keep the idle instance up for a while, from now on. MaxHours still ends the instance."""
    session = open_session(region, profile)
    tell_identity(session, stack)
    _tell(hold_instance(session, need_deployment(session, stack), length, now=datetime.now(UTC)))


def teardown_command(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the stack is deleted.")] = False,
    audit_only: Annotated[
        bool, typer.Option("--audit-only", help="Delete nothing, only look for what costs money.")
    ] = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Delete everything but the images. Then look for anything left that costs money."""
    session = open_session(region, profile)
    tell_identity(session, stack)
    teardown(session, stack=stack, yes=yes, audit_only=audit_only, console=Console())


def _tell(message: str) -> None:
    say(repeat_typed(message, sys.argv[1:]))


# Below each heading of `sd --help`, the commands with an example of each.
COMMANDS: dict[str, dict[Callable[..., None], str]] = {
    "Draw": {
        deploy: 'sd deploy "A horse under a tree" --wait',
        generate_command.generate: 'sd generate "A horse under a tree" --steps 25',
        studio_command.studio: "sd studio",
        batch_command.batch: "sd batch prompts.csv --grid scale=5,7.5 --max-usd 2",
        replay_command.replay: "sd replay results/horse-0123456789/txt2img-samples/00000.png",
    },
    "Follow and fetch": {
        status: "sd status --timeline",
        watch_command.watch: "sd watch cats-0123456789",
        results: "sd results cats-0123456789 --zip",
        look_inside_commands.logs: "sd logs cats-0123456789 --follow",
        look_inside_commands.connect: "sd connect",
        report_command.report: "sd report",
    },
    "Steer a batch": {
        batch_control_commands.pause: "sd pause cats-0123456789",
        batch_control_commands.resume: "sd resume cats-0123456789",
        batch_control_commands.cancel: "sd cancel cats-0123456789",
        batch_control_commands.retry: "sd retry cats-0123456789",
    },
    "What costs money": {
        start: "sd start",
        stop: "sd stop",
        hold: "sd hold 2h",
        teardown_command: "sd teardown",
    },
    "Before a deploy": {
        before_commands.doctor: "sd doctor --model sdxl-base",
        models_command.models: "sd models",
        before_commands.cost: "sd cost --model sdxl-base --samples 16",
        account_commands.zones: "sd zones g6.xlarge",
    },
}


app = typer.Typer(
    cls=GroupedCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def options_of_sd(version: Version = False) -> None:
    """Stable Diffusion on one EC2 GPU instance."""


for heading, commands in COMMANDS.items():
    for command, example in commands.items():
        app.command(
            command.__name__.removesuffix("_command"),
            cls=GroupedCommand,
            rich_help_panel=heading,
            epilog=f"Example: `{example}`",
        )(command)
app.add_typer(
    account_commands.app, name="quota", rich_help_panel="Before a deploy", epilog="Example: `sd quota status`"
)


def main() -> None:
    r"""Runs the command line; the exit status is 0, 1 for an error, 2 for misuse, and 128 + N after signal N.

    What a terminal's encoding has no character for is spelled out: as `\xd7`, and not as an error.
    """
    raise_interrupted()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with aws_errors_in_words("go on"):
            app(prog_name="sd")
    except CommandError as error:
        _end(str(error), error.exit_status)
    except Interrupted as interrupted:
        _end(interrupted.told or "Interrupted; nothing was changed.", interrupted.exit_status)
    finally:
        end_at_once()


def _end(message: str, exit_status: int) -> NoReturn:
    """Says why the command ends, if there is still somebody: a terminal that was closed takes nothing."""
    with suppress(OSError):
        print_plain(f"sd: {repeat_typed(message, sys.argv[1:])}", Console(stderr=True), soft_wrap=True)
    sys.exit(exit_status)
