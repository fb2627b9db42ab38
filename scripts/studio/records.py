"""What an image was made from: the record inside it, what to type for it again, and the command that does so."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import as_option
from scripts.command_line.terminal.plain_text import in_shell
from userdata.job.job import Job
from userdata.record.image_metadata import ImageRecord, record_in_png

# What another image has of its own.
OF_THE_RUN = ("RunId", "PromptFile")


def read_record(content: bytes) -> ImageRecord:
    """The record inside an image. Raises `CommandError` for any other file."""
    try:
        return record_in_png(content)
    except ValueError as error:
        raise CommandError(
            f"This file does not say what it was made from ({error}). Give an image as a run saved it.", exit_status=2
        ) from error


def values_of(record: ImageRecord) -> dict[str, str]:
    """What to type for this one image again: what differs from what its model has by itself.

    Raises `CommandError` for a record whose job breaks a rule, which is another version's, or made up.
    """
    try:
        request, job = record.request, Job.model_validate(record.job)
    except ValueError as error:
        raise CommandError(
            "The job in this image cannot be drawn by this version of the project.", exit_status=2
        ) from error
    drawn = {
        **job.model_dump(by_alias=True),
        **request.parameters,
        "Iterations": 1,
        "Samples": 1,
    }
    own = Job(model=job.model).model_dump(by_alias=True)
    always = ("Prompt", "Seed", "Iterations", "Samples", "Model")
    return {
        name: str(value)
        for name, value in drawn.items()
        if name not in OF_THE_RUN and (name in always or value != own[name])
    }


def command_for(values: Mapping[str, str]) -> str:
    """The command that draws the same image. Whoever pastes it types it: a record may hold what ends a line there."""
    options = [as_option(name, value) for name, value in values.items() if name != "Prompt"]
    return in_shell(["sd", "generate", *options, "--", values["Prompt"]])
