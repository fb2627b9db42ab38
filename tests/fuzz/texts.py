"""Parsers of what people write: parameters, prompts, rows, grids, names of files."""

from __future__ import annotations

import io
import unicodedata

from pydantic import ValidationError

from scripts.command_line.batching.grid import read_grid
from scripts.command_line.batching.refusals import FileError, Refusals, RowError
from scripts.command_line.batching.row_format import Format
from scripts.command_line.batching.rows import read_rows
from scripts.command_line.report.scrub import Scrubber
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import SPELLED_OUT, printable
from tests.fuzz.target import Target
from userdata.contract.catalogue import find_model, hub_parts
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.environment_file import parse_environment
from userdata.contract.layout import MOST_IMAGES
from userdata.contract.lora_list import listed_loras
from userdata.contract.parameter_file import parse_parameters
from userdata.contract.run_name import run_name
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.prompt_file import PromptFileError, read_prompt_file
from userdata.job.refusal import explain

JOB = Job(model="tiny")


def text(content: bytes) -> str:
    """Any text: what is no UTF-8 becomes halves of surrogate pairs, as in what the system hands to a program."""
    return content.decode("utf-8", "surrogateescape")


def parameters(content: bytes) -> dict[str, str]:
    """`Name=value` in each line."""
    return {name: value for name, _, value in (line.partition("=") for line in text(content).split("\n")) if name}


def job(content: bytes) -> object:
    given = parameters(content)
    try:
        found = Job.model_validate(given)
    except ValidationError as error:
        explain(error, Job)
        raise
    assert found.images_total <= MOST_IMAGES
    listed_loras(found.lora)
    listed_embeddings(found.embeddings)
    image_requests(found, drawn_seed=7)
    return run_name({name: str(value) for name, value in found.model_dump(by_alias=True).items()})


def prompt_file(content: bytes) -> object:
    lines = read_prompt_file(content, JOB)
    assert sum(line.job.images_total for line in lines) <= MOST_IMAGES
    return lines


def rows(form: Format) -> Target:
    """The reader of rows that are written so."""

    def parse(content: bytes) -> object:
        refusals = Refusals()
        return list(read_rows(io.BytesIO(content), form, refusals)) or None

    return Target(parse, (FileError,))


def grid(content: bytes) -> object:
    return read_grid(text(content).split("\n"))


def names(content: bytes) -> object:
    """A model's name, and the address that is made of it."""
    name = text(content)
    model = find_model(name)
    if name.startswith("hf:"):
        assert not {"", ".", ".."} & {part for place in hub_parts(name) for part in place.split("/")}
    return model


def shown(content: bytes) -> object:
    """Whatever a terminal is given."""
    left = printable(text(content)).translate({ord("\n"): None, ord("\t"): None})
    assert not {unicodedata.category(one) for one in left} & set(SPELLED_OUT)
    return True


def scrubbed(content: bytes) -> object:
    """What `sd report` makes of a log."""
    Scrubber(prompts=["a horse"], left_out=["secret"]).scrub(text(content))
    return True


TARGETS = {
    "job": Target(job, (ValidationError,)),
    "prompt-file": Target(prompt_file, (PromptFileError,), cost=5),
    "rows-text": rows(Format.text),
    "rows-csv": rows(Format.csv),
    "rows-jsonl": rows(Format.jsonl),
    "grid": Target(grid, (CommandError, RowError)),
    "names": Target(names, (KeyError,)),
    "parameter-file": Target(lambda content: parse_parameters(content.decode("ascii"), "parameters")),
    "environment-file": Target(lambda content: parse_environment(text(content)), ()),
    "terminal": Target(shown, ()),
    "report-text": Target(scrubbed, ()),
}
