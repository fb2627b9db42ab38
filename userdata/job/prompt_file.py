"""A file of prompts, one on each line, with options of their own.

    a horse under a tree
    a tree in a forest --seed 7 --steps 30
    --prompt "a castle" --negative_prompt "people, cars" --sampler_name "Euler a" --width 768 --height 512

The options are spelled as AUTOMATIC1111's script "Prompts from file or textbox" and as the original scripts spell
them. Empty lines and lines that begin with `#` are passed over. A line that breaks a rule is refused, whereas the web
interface's script takes the whole line for a prompt, and draws it.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from userdata.contract.layout import MOST_IMAGES
from userdata.job.job import Job
from userdata.job.parameter import parameter
from userdata.job.refusal import explain

MOST_BYTES = 16 * 1024 * 1024
# A prompt takes nearly a millisecond to check, and on the instance that is paid for.
MOST_PROMPTS = 10_000
MOST_TOLD = 5

# The field of the job that each option gives. Dashes in an option are underscores here.
OPTIONS = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "seed": "seed",
    "steps": "ddim_steps",
    "ddim_steps": "ddim_steps",
    "cfg_scale": "scale",
    "scale": "scale",
    "height": "H",
    "H": "H",
    "width": "W",
    "W": "W",
    "sampler_name": "sampler",
    "sampler": "sampler",
    "scheduler": "scheduler",
    "ddim_eta": "ddim_eta",
    "n_iter": "n_iter",
    "batch_size": "n_samples",
    "n_samples": "n_samples",
    "strength": "strength",
    "upscale": "upscale",
}
FLAGS = {"plms": "plms", "dpm_solver": "dpm_solver"}
TEXTS = frozenset({"prompt", "negative_prompt"})
# About 33 chunks of a text encoder. No user data carries a file's texts, so they may be longer than a parameter.
LONGEST_TEXT = 10_000
# Two such texts with an escape for each character, and options.
LONGEST_LINE = 64 * 1024
_NAMES = "|".join(name.replace("_", "[_-]") for name in sorted([*OPTIONS, *FLAGS], key=len, reverse=True))
# A word processor makes a long dash of two, and curly quotes of straight ones. A long dash before any other word is
# text.
_LONG_DASH = rf"(?<!\S)[–—―]{{1,2}}(?=(?:{_NAMES})(?!\S))"
_FIRST_OPTION = re.compile(rf"(?<!\S)--(?=[A-Za-z])|{_LONG_DASH}")
# A quote without an end goes to the end of the line: it would else be looked for anew from each quote behind it.
_QUOTED = r"\"(?:\\.|[^\"\\])*(?:\"|\\?\Z)|'[^']*(?:'|\Z)"
_DASH_OR_QUOTED = re.compile(rf"{_QUOTED}|[“„][^“”„]*[“”]|(?P<dash>{_LONG_DASH})")
_CURLY_OR_QUOTED = re.compile(
    rf"{_QUOTED}|(?P<option>(?<!\S)--\S+\s+)(?:[“”„](?P<double>[^“”„]*)[“”]|‘(?P<single>.*?)’)(?!\S)"
    r"|(?P<open>(?<!\S)--\S+\s+[“”„‘])"
)


class PromptFileError(ValueError):
    """The file cannot be used. The message names each line that breaks a rule, and the rule."""


class LineJob(Job):
    """The job of a line, whose texts may be longer than the parameters."""

    prompt: str = parameter(
        Job.model_fields["prompt"].default,
        name="Prompt",
        description="What the images show.",
        rule=f"a text of 1 to {LONGEST_TEXT} characters that is not blank, for example a horse",
        min_length=1,
        max_length=LONGEST_TEXT,
        pattern=r"\S",
    )
    negative_prompt: str = parameter(
        "",
        name="NegativePrompt",
        description="What the images should not show.",
        rule=f"a text of up to {LONGEST_TEXT} characters, for example blurry",
        max_length=LONGEST_TEXT,
    )


@dataclass(frozen=True)
class PromptLine:
    """One prompt: the number of its line, counted from 1, and what the line gives of the job, by the field's name.

    `job` is the run's job with the line's own values.
    """

    number: int
    given: Mapping[str, str]
    job: Job


def read_prompt_file(content: bytes, job: Job) -> list[PromptLine]:
    """The prompts of a file for the run `job`. Raises `PromptFileError`."""
    if len(content) > MOST_BYTES:
        raise PromptFileError(f"It has {len(content):,} bytes, but must have at most {MOST_BYTES:,}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise PromptFileError(f"Line {number} is not UTF-8. Save the file with that encoding.") from error
    if "\0" in text:
        number = text.count("\n", 0, text.index("\0")) + 1
        raise PromptFileError(f"Line {number} has a NUL, as text in UTF-16 has. Save the file in UTF-8.")
    lines: list[PromptLine] = []
    refusals: list[str] = []
    for number, line in _prompts_in(text):
        try:
            given = parse_line(line)
            lines.append(PromptLine(number, given, _job_of(job, given, line)))
        except PromptFileError as error:
            refusals.append(f"Line {number}: {error}")
    if refusals:
        more = len(refusals) - MOST_TOLD
        told = [f"There {'is' if more == 1 else 'are'} {more} more such line{'s' * (more > 1)}."] * (more > 0)
        raise PromptFileError(" ".join([*refusals[:MOST_TOLD], *told]))
    if not lines:
        raise PromptFileError("There is no prompt in it. Write one on each line.")
    images = sum(line.job.images_total for line in lines)
    if images > MOST_IMAGES:
        raise PromptFileError(
            f"It makes {images:,} images, but a run may have {MOST_IMAGES:,}. Lower Iterations, or make several files "
            "of it."
        )
    return lines


def _prompts_in(text: str) -> list[tuple[int, str]]:
    """The lines that are prompts, with their numbers, counted from 1. Raises `PromptFileError` for too many."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if len(found) == MOST_PROMPTS:
            raise PromptFileError(
                f"It has more than {MOST_PROMPTS:,} prompts. Make several files of it, each for a run of its own."
            )
        found.append((number, line.removesuffix("\n")))
    return found


def parse_line(line: str) -> dict[str, str]:
    """The fields of the job that a line gives, by name, as text. Raises `PromptFileError` for an unknown option."""
    if len(line) > LONGEST_LINE:
        raise PromptFileError(f"it has {len(line):,} characters, but a line has {LONGEST_LINE:,} at most.")
    first = _FIRST_OPTION.search(line)
    if not first:
        return {"prompt": line.strip()}
    leading = line[: first.start()].strip()
    options = _as_typed(line[first.start() :])
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise PromptFileError(f"a quote has no end ({str(error).lower()}). Close it, or take it out.") from error
    given = {"prompt": leading} if leading else {}
    position = 0
    while position < len(words):
        position = _take_option(words, position, given)
    if "prompt" not in given:
        raise PromptFileError('it has no prompt. Write it first, or as --prompt "a horse".')
    return given


def _as_typed(options: str) -> str:
    """`options` with the dashes and quotes that a word processor has replaced."""

    def straighten(match: re.Match[str]) -> str:
        if match["open"]:
            raise PromptFileError(f"the quote {match['open'][-1]} has no end. Close it, or take it out.")
        if not match["option"]:
            return match[0]
        return match["option"] + shlex.quote(match["single"] if match["double"] is None else match["double"])

    dashed = _DASH_OR_QUOTED.sub(lambda match: "--" if match["dash"] else match[0], options)
    return _CURLY_OR_QUOTED.sub(straighten, dashed)


def _take_option(words: list[str], position: int, given: dict[str, str]) -> int:
    """Adds the option at `position` to `given`; returns the position of the next one."""
    word = words[position]
    name = word[2:].replace("-", "_") if word.startswith("--") else ""
    if name in FLAGS:
        _give(given, "sampler", FLAGS[name], word)
        return position + 1
    if name not in OPTIONS:
        what = f"{word} is no option" if name else f"{word!r} is no option, and follows none that takes it"
        raise PromptFileError(f"{what}; there are {', '.join(f'--{option}' for option in [*OPTIONS, *FLAGS])}.")
    end = position + 2
    if name in TEXTS:
        while end < len(words) and not words[end].startswith("--"):
            end += 1
    values = words[position + 1 : end]
    if not values:
        raise PromptFileError(f"{word} has no value.")
    _give(given, OPTIONS[name], " ".join(values), word)
    return end


def _give(given: dict[str, str], field: str, value: str, option: str) -> None:
    if field in given:
        raise PromptFileError(f"{option} gives a second {field}. Keep one.")
    given[field] = value


def _job_of(job: Job, given: Mapping[str, str], line: str) -> Job:
    values = dict(given)
    if schedule := values.pop("scheduler", None):
        values["sampler"] = f"{values.get('sampler', job.sampler)} {schedule}"
    try:
        # A line stands for one image of each pass unless it says otherwise, as in the original.
        return LineJob.model_validate({**job.model_dump(), "n_samples": 1, **values})
    except ValidationError as error:
        words = set(line.split())
        spelled = {field: f"--{option}" for option, field in OPTIONS.items() if f"--{option}" in words}
        raise PromptFileError(" ".join(explain(error, LineJob, spelled))) from error
