"""The prompt parameters as options, made from their schemas, and checked before anything is touched."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.machine_parameters import MachineParameters
from userdata.job.choices import Switch
from userdata.job.job import Job
from userdata.job.refusal import explain

Schema = TypeVar("Schema", bound=BaseModel)
# The parameters that are on or off, and take no value on the command line.
SWITCHES = [field.alias for field in Job.model_fields.values() if field.annotation is Switch]


def with_parameter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each parameter; it receives those that were given, as `parameters`.

    Each option has the CloudFormation parameter's name and the original scripts' spelling: `--steps`, `--ddim_steps`.
    The prompt is an argument. `parameters` maps CloudFormation names to text.
    """
    options = [_option(model, name) for model in (Job, MachineParameters) for name in model.model_fields]
    names = {option.name: _alias(option.name) for option in options}
    own = inspect.signature(command, eval_str=True)

    def wrapper(**values: Any) -> None:
        given = {alias: values.pop(name) for name, alias in names.items()}
        command(parameters={alias: _text(value) for alias, value in given.items() if value is not None}, **values)

    wrapper.__doc__ = command.__doc__
    wrapper.__name__ = command.__name__
    wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*options, *(p.replace(kind=p.KEYWORD_ONLY) for p in own.parameters.values() if p.name != "parameters")]
    )
    return wrapper


def _option(model: type[BaseModel], field_name: str) -> inspect.Parameter:
    field = model.model_fields[field_name]
    extra = field.json_schema_extra
    rule = extra["rule"] if isinstance(extra, dict) else ""
    shown = field.default != "" and not (isinstance(extra, dict) and extra["models_own"])
    default = f" Default: {field.default}." if shown else ""
    text = f"{field.description} Must be {rule}.{default}"
    info = (
        typer.Argument(help=text, show_default=False)
        if field_name == "prompt"
        else typer.Option(*_switch_spellings(field_name), help=field.description, show_default=False)
        if field.annotation is Switch
        else typer.Option(*_spellings(field_name), help=text, metavar=_alias(field_name), show_default=False)
    )
    kind: Any = bool if field.annotation is Switch else str
    return inspect.Parameter(
        field_name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info]
    )


def _text(value: str | bool) -> str:
    """What was given, as CloudFormation takes it: a switch has no value on the command line."""
    if isinstance(value, bool):
        return Switch.on if value else Switch.off
    return value


def _alias(field_name: str) -> str:
    for model in (Job, MachineParameters):
        if field_name in model.model_fields:
            return str(model.model_fields[field_name].alias)
    raise KeyError(field_name)


def as_option(name: str, value: str) -> str:
    """The CloudFormation parameter `name` with `value`, as one word of a command: `--max-hours=2`, `--no-skip-grid`."""
    if name in SWITCHES:
        return f"--{_kebab(name)}" if value == Switch.on else f"--no-{_kebab(name)}"
    # With "=" because a value may begin with a dash.
    return f"--{_kebab(name)}={value}"


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def _spellings(field_name: str) -> list[str]:
    return list(
        dict.fromkeys([f"--{_kebab(_alias(field_name))}", f"--{field_name.replace('_', '-')}", f"--{field_name}"])
    )


def _switch_spellings(field_name: str) -> list[str]:
    """`--skip-grid/--no-skip-grid` and `--skip_grid`."""
    first, *others = _spellings(field_name)
    return [f"{first}/--no-{first[2:]}", *others]


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
