"""The parameters as options of a command, made from their schemas, and the check of their values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from copy import copy
from enum import EnumType
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.machine_parameters import MachineParameters
from userdata.contract.catalogue import read_catalogue
from userdata.job.choices import Switch
from userdata.job.job import Job
from userdata.job.parameter import is_flag, is_models_own, range_of
from userdata.job.refusal import explain

Schema = TypeVar("Schema", bound=BaseModel)
FIELDS: dict[str, FieldInfo] = {**Job.model_fields, **MachineParameters.model_fields}
# The parameters that take no value on the command line.
FLAGS = {str(field.alias) for field in FIELDS.values() if is_flag(field)}
# The headings of the help.
PICTURE, MODEL, MACHINE, MONEY = "Picture", "Model", "Machine", "Money and time"
PROMPT_OPTION = "prompt_by_option"
OF_THE_MODEL = {"model", "prediction", "vae", "embeddings", "lora", "engine", "precision", "quantize"}
OF_MONEY = {"after_run", "on_failure", "idle_minutes", "max_hours", "max_spend", "usd_per_hour"}


def with_parameter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each parameter. The command receives those that were typed, as `parameters`.

    Each option has the CloudFormation parameter's name and the original scripts' spelling: `--steps`, `--ddim_steps`.
    The prompt is an argument, or `--prompt` as in the original. `parameters` maps CloudFormation names to text.
    """
    return _with_options(command, FIELDS)


def with_image_options(command: Callable[..., None]) -> Callable[..., None]:
    """Does the same with the parameters of the images alone. The prompt is the person's: its default is not told."""
    without_default = {**Job.model_fields, "prompt": copy(Job.model_fields["prompt"])}
    without_default["prompt"].default = ""
    return _with_options(command, without_default)


# What a batch has none of: its file is an argument, and it makes no grid of its images.
NOT_OF_A_BATCH = ("PromptFile", "Rows", "SkipGrid")


def with_batch_options(command: Callable[..., None]) -> Callable[..., None]:
    """Does the same for the rows of a file, each of which makes one image. The prompt is an option."""
    fields = {name: copy(field) for name, field in Job.model_fields.items() if field.alias not in NOT_OF_A_BATCH}
    fields["prompt"].default = ""
    fields["n_iter"].default = fields["n_samples"].default = 1
    return _with_options(command, fields, prompt_is_option=True)


def _with_options(
    command: Callable[..., None], fields: Mapping[str, FieldInfo], *, prompt_is_option: bool = False
) -> Callable[..., None]:
    options = [
        _option(name, field, is_argument=name == "prompt" and not prompt_is_option) for name, field in fields.items()
    ]
    if not prompt_is_option:
        options.insert(1, _option("prompt", fields["prompt"], is_argument=False).replace(name=PROMPT_OPTION))
    own = inspect.signature(command, eval_str=True)

    def wrapper(**values: Any) -> None:
        typed = {str(field.alias): values.pop(name) for name, field in fields.items()}
        if (prompt := values.pop(PROMPT_OPTION, None)) is not None:
            if typed["Prompt"] is not None:
                raise CommandError("PROMPT and --prompt both give the prompt: leave one out.", exit_status=2)
            typed["Prompt"] = prompt
        given = {alias: value for alias, value in typed.items() if value is not None}
        switched = {alias: Switch.on if given[alias] else Switch.off for alias in FLAGS & given.keys()}
        command(parameters={**given, **switched}, **values)

    wrapper.__doc__ = f"{inspect.getdoc(command)}\n\ndocs/parameters.md has the rule of each parameter."
    wrapper.__name__ = command.__name__
    wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*options, *(p.replace(kind=p.KEYWORD_ONLY) for p in own.parameters.values() if p.name != "parameters")]
    )
    return wrapper


def _option(field_name: str, field: FieldInfo, *, is_argument: bool) -> inspect.Parameter:
    alias = str(field.alias)
    first, *others = dict.fromkeys([f"--{_kebab(alias)}", f"--{field_name.replace('_', '-')}", f"--{field_name}"])
    kind: Any = str
    if is_argument:
        info = typer.Argument(help=_help_of(field), metavar="PROMPT", show_default=False)
    elif is_flag(field):
        kind = bool
        names = (f"{first}/--no-{first[2:]}", *others)
        info = typer.Option(*names, help=_help_of(field), show_default=False, rich_help_panel=_group(field_name))
    else:
        info = typer.Option(
            first,
            *others,
            help=_help_of(field),
            metavar=alias,
            autocompletion=_completion_of(field_name, field),
            show_default=False,
            rich_help_panel=_group(field_name),
        )
    return inspect.Parameter(
        field_name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info]
    )


def _completion_of(field_name: str, field: FieldInfo) -> Callable[[str], list[str]] | None:
    """What completes a value of the parameter by TAB; None where no values are known."""
    if isinstance(field.annotation, EnumType):
        choices = [str(choice.value) for choice in field.annotation]
    elif field_name in ("model", "instance_type"):
        choices = [*(read_catalogue() if field_name == "model" else INSTANCE_TYPES)]
    else:
        return None

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def _help_of(field: FieldInfo) -> str:
    """The first sentence about the parameter, its range or choices, and its default; docs/parameters.md has it all."""
    first = (field.description or "").partition(". ")[0].removesuffix(".")
    if is_flag(field):
        return f"{first}."
    default = (
        "the model's own"
        if is_models_own(field)
        else f"{field.default:g}"
        if field.annotation is float
        else field.default
    )
    more = "; ".join([*filter(None, [range_of(field)]), *([f"default: {default}"] if default != "" else [])])
    if not more:
        return f"{first}."
    return f"{first[:-1]}; {more})." if first.endswith(")") else f"{first} ({more})."


def _group(field_name: str) -> str:
    if field_name in Job.model_fields:
        return MODEL if field_name in OF_THE_MODEL else PICTURE
    return MONEY if field_name in OF_MONEY else MACHINE


def as_option(name: str, value: str) -> str:
    """The CloudFormation parameter `name` with `value`, as one word of a command: `--max-hours=2`, `--no-skip-grid`."""
    if name in FLAGS:
        return f"--{_kebab(name)}" if value == Switch.on else f"--no-{_kebab(name)}"
    # With "=" because a value may begin with a dash.
    return f"--{_kebab(name)}={value}"


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def check_parameters(parameters: Mapping[str, str]) -> tuple[Job, MachineParameters]:
    """The job and the machine that `parameters` describe, defaults filled in.

    Raises `CommandError` with a sentence for each value that breaks a rule.
    """
    refusals: list[str] = []
    job = _checked(Job, parameters, refusals)
    machine = _checked(MachineParameters, parameters, refusals)
    if job is None or machine is None:
        raise CommandError("\n".join(refusals), exit_status=2)
    return job, machine


def _checked(model: type[Schema], parameters: Mapping[str, str], refusals: list[str]) -> Schema | None:
    aliases = {field.alias for field in model.model_fields.values()}
    try:
        return model.model_validate({name: text for name, text in parameters.items() if name in aliases})
    except ValidationError as error:
        refusals.extend(explain(error, model))
        return None
