"""What a person asks of the machine that stands: the options that were typed, and what the deployment says of the rest.

An option that is not given has its default, as if nothing had been deployed but the model. What belongs to the model,
and what is done with every image, stays as it was deployed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.account.plan import Plan, make_plan
from scripts.command_line.before.model_checks import check_model
from scripts.command_line.deploying.inputs import Input, check_inputs, find_inputs
from scripts.command_line.deploying.local_files import find_model_files
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import as_option
from userdata.contract.catalogue import S3
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.image_size import rounded_in_words, takes_size_of_image
from userdata.contract.lora_list import listed_loras
from userdata.job.job import Job
from userdata.job.parameter import is_models_own
from userdata.job.seeds import RANDOM, draw_seed

OF_THE_MODEL = ("Model", "Precision", "Prediction", "Vae", "Embeddings", "Engine")
OF_EVERY_IMAGE = ("SafetyChecker", "Watermark")


@dataclass(frozen=True)
class Request:
    """A run that can be drawn: its plan, and the files of this machine that it needs in the bucket.

    The plan's job is whole: its edges are given, also where they follow from an initial image.
    """

    plan: Plan
    inputs: Mapping[str, Input]
    loras: Mapping[str, Path]
    told: tuple[str, ...]

    @property
    def run_id(self) -> str:
        """The name of the run, which is the job's own."""
        return self.plan.job.name


def make_request(
    session: boto3.Session, deployment: Deployment, typed: Mapping[str, str], *, files: bool = True
) -> Request:
    """The request, checked for everything that a deploy checks of a job. Reads inputs, and writes nothing.

    Without `files`, a name is never taken for that of a file of this machine: whoever typed it may be no person, but
    the record of an image that somebody else has made.

    Raises `CommandError`, for misuse where what was typed breaks a rule.
    """
    if not (typed.get("Prompt") or typed.get("PromptFile")):
        raise CommandError(
            'There is no prompt. Give one: `sd generate "A horse standing under a tree"`, or a file of them: '
            "--prompt-file.",
            exit_status=2,
        )
    drawn = draw_seed() if typed.get("Seed") == str(RANDOM) else None
    if drawn is not None:  # here, so that the same command again is another run
        typed = {**typed, "Seed": str(drawn)}
    request = plan_request(session, deployment, typed, files=files)
    if drawn is not None:
        request = dataclasses.replace(request, told=(f"Seed is {RANDOM}: {drawn} is drawn.", *request.told))
    check_files(session, request)
    return request


def plan_request(
    session: boto3.Session, deployment: Deployment, typed: Mapping[str, str], *, files: bool = True
) -> Request:
    """The request, checked by the rules of the parameters, with its inputs. `check_files` checks the model's files.

    Without `files`, no name is that of a file of this machine, as in `make_request`.

    Raises `CommandError`, for misuse where what was typed breaks a rule.
    """
    given, uploads = find_model_files(typed) if files else (dict(typed), {})
    inputs = find_inputs(session, deployment.bucket, given, files=files)
    given |= {name: found.key for name, found in inputs.items()}
    parameters = {**_not_given(deployment, given), **given}
    plan = dataclasses.replace(make_plan(deployment, parameters, {}), typed=typed, uploads=uploads)
    told = (*check_inputs(inputs, plan), *rounded_in_words(plan.parameters))
    if takes_size_of_image(plan.parameters):
        plan = _of_its_image(plan, inputs["InitImage"])
    return Request(plan, inputs, uploads, told)


def check_files(session: boto3.Session, request: Request) -> None:
    """Raises `CommandError` for a file of the model that does not fit, is not there, or may not be read."""
    plan = request.plan
    assert plan.deployment
    _check_rights(plan.deployment, plan.job)
    check_model(session, plan.job, plan.machine, bucket=plan.deployment.bucket, uploads=request.loras)


def _not_given(deployment: Deployment, given: Mapping[str, str]) -> dict[str, str]:
    defaults = {
        str(field.alias): "" if is_models_own(field) else str(field.default) for field in Job.model_fields.values()
    }
    other_model = given.get("Model", deployment.parameters["Model"]) != deployment.parameters["Model"]
    kept = OF_EVERY_IMAGE if other_model else (*OF_THE_MODEL, *OF_EVERY_IMAGE)
    return {**defaults, **{name: deployment.parameters[name] for name in kept if name in deployment.parameters}}


def _of_its_image(plan: Plan, found: Input) -> Plan:
    """The same plan with the edges of its initial image, which a job in the bucket has to say."""
    assert found.image
    from userdata.job.initial_image import size_from  # here, because it loads Pillow

    width, height = size_from(found.image.image, found.given)
    sized = {**plan.changes, "Height": str(height), "Width": str(width)}
    return dataclasses.replace(make_plan(plan.deployment, sized, {}), typed=plan.typed, uploads=plan.uploads)


def _check_rights(deployment: Deployment, job: Job) -> None:
    """Raises `CommandError` for a file of S3 that the instance may not read.

    The stack gives it the right to read exactly the objects that were deployed. Rejected: to let it read more, for a
    prompt in the queue could then read whatever the account has.
    """
    may_read = {place for places in _places(deployment.parameters).values() for place in places}
    for name, places in _places(job.model_dump(by_alias=True)).items():
        for place in places:
            if place.startswith(S3) and place not in may_read:
                raise CommandError(
                    f"{name} is {place}, but the instance may read only those files of S3 that were deployed. Deploy "
                    f"with it: `sd deploy {as_option(name, place)}`."
                )


def _places(parameters: Mapping[str, str]) -> dict[str, list[str]]:
    """The files that a model is made of, by the parameters that name them."""
    return {
        "Model": [parameters.get("Model", "")],
        "Lora": [one.place for one in listed_loras(parameters.get("Lora", ""))],
        "Vae": [parameters.get("Vae", "")],
        "Embeddings": [one.place for one in listed_embeddings(parameters.get("Embeddings", ""))],
    }
