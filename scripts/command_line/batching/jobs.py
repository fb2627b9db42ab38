"""The checked job of each row: the options of the command, with the row's own over them, on the stack that stands."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import boto3
from pydantic import ValidationError

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.zones import why_unfit
from scripts.command_line.batching.columns import SCHEDULER
from scripts.command_line.batching.refusals import RowError
from scripts.command_line.batching.rows import Row
from scripts.command_line.generating.request import Request, check_files, plan_request
from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.image_size import is_whole
from userdata.job.choices import Engine
from userdata.job.job import Job
from userdata.job.prompt_file import LONGEST_TEXT, LineJob
from userdata.job.prompt_notices import MOST_NOTICES, job_notices
from userdata.job.refusal import explain
from userdata.job.seeds import RANDOM, SEEDS

Value = str | int | float
# The files that an image is drawn from, and what says how they are read. Rows that share them share what is looked up.
OF_FILES = (
    "model",
    "precision",
    "quantize",
    "prediction",
    "vae",
    "embeddings",
    "engine",
    "lora",
    "init_img",
    "init_mask",
)
# Those of them that are no part of the model.
OF_INPUTS = ("init_img", "init_mask")
OF_THE_SIZE = ("H", "W", "upscale")
# A prompt without any of these breaks no rule but those of its length: no weight, no LoRA, no words of other programs.
_SYNTAX = re.compile(r"[<>()\[\]{}\\]|__|\b(?:AND|BREAK)\b")
_STANDS_FOR_A_PROMPT = "a horse"
_ALIAS = {name: str(field.alias) for name, field in Job.model_fields.items()}


class Jobs:
    """Makes jobs of rows. `files` are those of this machine that the jobs need, by the keys that they will have.

    A hundred thousand rows mostly share what takes long to check, which is checked once for each combination.
    """

    def __init__(self, session: boto3.Session, deployment: Deployment, typed: Mapping[str, str]) -> None:
        self._session, self._deployment = session, deployment
        self._typed = {"Iterations": "1", "Samples": "1", **typed}
        self._checked: set[tuple[str, ...]] = set()
        self._told: dict[str, None] = {}
        self.files: dict[str, Path] = {}
        self._request = functools.lru_cache(maxsize=256)(self._make_request)
        self._without_texts = functools.lru_cache(maxsize=1024)(self._make_without_texts)
        self.plan: Plan = self._request(()).plan
        self.seed = (
            Job.model_validate({"Seed": typed["Seed"]}).seed if "Seed" in typed else Job.model_fields["seed"].default
        )

    @property
    def told(self) -> list[str]:
        """What a person should know of the rows, the first few sentences."""
        more = len(self._told) > MOST_NOTICES
        return [*self._told][:MOST_NOTICES] + ["More such sentences are left out."] * more

    def of(self, row: Row, cell: Mapping[str, str], seed: int) -> Job:
        """The row's job in one combination of the grid, with `seed` where neither gives one.

        Raises `RowError`, with a sentence for each value that breaks a rule.
        """
        values: dict[str, Value] = {**row.given, **cell}
        prompt = values.pop("prompt", self._typed.get("Prompt"))
        if prompt is None:
            raise RowError("it has no prompt.")
        seed_given = values.pop("seed", seed)
        if isinstance(seed_given, str) and is_whole(seed_given):
            seed_given = int(seed_given)
        try:
            # By the types, too: JSON's true equals 1, but is no number of steps.
            shared = self._without_texts(tuple((name, value, type(value)) for name, value in sorted(values.items())))
            if _needs_no_check(prompt, seed_given):
                return shared.model_copy(update={"prompt": prompt, "seed": seed_given})
            job = LineJob.model_validate({**shared.model_dump(), "prompt": prompt, "seed": seed_given})
        except ValidationError as error:
            raise RowError(" ".join(explain(error, LineJob, row.spelled))) from None
        except CommandError as error:
            raise RowError(str(error)) from None
        self._tell(job_notices([job]))
        return job

    def _make_without_texts(self, given: tuple[tuple[str, Value, type], ...]) -> Job:
        """The job of the values, with any prompt and any seed."""
        values = {name: value for name, value, _type in given}
        of_files = tuple((name, str(values.pop(name))) for name in OF_FILES if name in values)
        of_the_size = tuple((name, str(values[name])) for name in OF_THE_SIZE if name in values)
        from_image = self._typed.get("InitImage") or values.get("init_img") or dict(of_files).get("init_img")
        upscaled = str(values.get("upscale", self._typed.get("Upscale", "1"))) != "1"
        base = self._request((*of_files, *(of_the_size if from_image or upscaled else ()))).plan.job
        if schedule := values.pop(SCHEDULER, None):
            values["sampler"] = f"{values.get('sampler', base.sampler)} {schedule}"
        return LineJob.model_validate({**base.model_dump(), **values})

    def _make_request(self, values: tuple[tuple[str, str], ...]) -> Request:
        """The request of the command's options with these values over them, looked up and checked."""
        own = {_ALIAS[name]: value for name, value in values}
        typed = {**self._typed, **own, "Prompt": _STANDS_FOR_A_PROMPT}
        request = plan_request(self._session, self._deployment, typed)
        job = request.plan.job
        if job.engine == Engine.compvis:
            raise CommandError(
                "Engine is compvis, which draws a whole run from one seed, so that its images cannot be shared out "
                "among machines. Give --engine diffusers, or draw a prompt file as one run: `sd generate "
                "--prompt-file prompts.txt`.",
                exit_status=2,
            )
        machine = request.plan.machine
        if job.second_pass_pixels and (why := why_unfit(job, machine, machine.instance_type)):
            raise CommandError(why)
        of_model = tuple(str(getattr(job, name)) for name in OF_FILES if name not in OF_INPUTS)
        if of_model not in self._checked:
            check_files(self._session, request)
            self._checked.add(of_model)
        self.files.update(request.loras)
        self.files.update({found.key: Path(found.given) for found in request.inputs.values() if found.is_file})
        self._tell(request.told)
        return request

    def _tell(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            if len(self._told) <= MOST_NOTICES:
                self._told[sentence] = None


def _needs_no_check(prompt: Value, seed: Value) -> bool:
    return (
        isinstance(prompt, str)
        and type(seed) is int
        and RANDOM < seed < SEEDS
        and 0 < len(prompt) <= LONGEST_TEXT
        and not prompt.isspace()
        and not _SYNTAX.search(prompt)
    )
