"""The form: its fields, made from the job's schema, what a person typed into them, and the sentences beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import EnumType

from pydantic.fields import FieldInfo

from scripts.command_line.cost.models_listed import list_models
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import MODEL, OF_THE_MODEL, PICTURE
from userdata.job.job import Job
from userdata.job.parameter import is_models_own
from userdata.job.seeds import RANDOM

# Above the options, each with what stands in it at first: a person who plays wants other pictures with each press.
FIRST = {"Samples": "4", "Seed": str(RANDOM), "Iterations": "1"}
# Whose lists are files of their own: `sd batch` is for them.
NOT_HERE = ("Prompt", "PromptFile")
NAMES = {str(field.alias): field for field in Job.model_fields.values() if field.alias != "PromptFile"}
# Where a sentence about no field, or about more than one, stands.
ANYWHERE = ""


@dataclass(frozen=True)
class Field:
    """One field as the page shows it. `choices` is empty for a text; `suggestions` are values with a word on each."""

    name: str
    label: str
    about: str
    choices: tuple[str, ...]
    placeholder: str
    value: str
    suggestions: tuple[tuple[str, str], ...] = ()
    is_number: bool = False


def fields() -> dict[str, list[Field]]:
    """The fields below their headings, in the order of the schema."""
    grouped: dict[str, list[Field]] = {PICTURE: [], MODEL: []}
    for name, field in Job.model_fields.items():
        if field.alias not in NOT_HERE:
            grouped[MODEL if name in OF_THE_MODEL else PICTURE].append(_field(field))
    return grouped


def _field(field: FieldInfo) -> Field:
    name = str(field.alias)
    choices = tuple(str(one.value) for one in field.annotation) if isinstance(field.annotation, EnumType) else ()
    default = "the model's own" if is_models_own(field) else str(field.default)
    return Field(
        name=name,
        label=re.sub(r"(?<!^)(?=[A-Z])", " ", name).capitalize(),
        about=field.description or "",
        choices=choices,
        placeholder=default,
        value=FIRST.get(name, ""),
        suggestions=_models() if name == "Model" else (),
        is_number=field.annotation in (int, float) or name == "Seed",
    )


def _models() -> tuple[tuple[str, str], ...]:
    """The models as `sd models` lists them."""
    return tuple(
        (
            one.name,
            f"{one.model.good_at}; {one.model.bytes / 1e9:.1f} GB, from {one.smallest.name}, {one.model.licence}",
        )
        for one in list_models()
    )


def typed_in(form: Mapping[str, object]) -> dict[str, str]:
    """What a person typed, by the parameters' names, without the fields that were left empty.

    Browsers send the ends of lines as CR and LF.
    """
    texts = {name: value.replace("\r\n", "\n") for name, value in form.items() if isinstance(value, str)}
    return {name: text if name == "Prompt" else text.strip() for name, text in texts.items() if name in NAMES and text}


def beside(error: CommandError) -> dict[str, str]:
    """The sentences of a refusal, by the fields that they begin with; what names no field stands by `ANYWHERE`."""
    found: dict[str, str] = {}
    for sentence in str(error).split("\n"):
        name = sentence.partition(" ")[0]
        place = name if name in NAMES and name not in found else ANYWHERE
        found[place] = " ".join(filter(None, [found.get(place, ""), sentence]))
    return found
