"""The settings that decide which resources exist. They are context: `cdk deploy -c keep_results=false`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from stacks.facts.budget_regions import INSTEAD, why_no_budget
from stacks.facts.fleet_types import USUAL_TYPES
from stacks.facts.machine_parameters import GPU_TYPE
from stacks.facts.usual_stack import USUAL_STACK

MOST_MACHINES = 500
# Zones are sold out often, so that a fleet looks for machines in several. Elsewhere an account has three or more.
FLEET_ZONES, FLEET_ZONES_OF = 3, {"us-west-1": 2}
# Context that a first deploy gives when it has files to upload: the stack is then its results bucket alone, until the
# deploy goes on. It is no setting, because no stack keeps it.
BUCKET_ALONE = "bucket_alone"
RULES = {
    "stack": f"a name of letters, digits and dashes, for example {USUAL_STACK}-2",
    "keep_results": "true or false; false deletes the bucket with its images when the stack is destroyed",
    "output_bucket": "the name of a bucket of yours, for example my-pictures",
    "output_key": "the ARN of the KMS key that encrypts output_bucket, for example "
    "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef",
    "ami": "the id of an image of your own, for example ami-0123456789abcdef0",
    "root_device": "the name of your image's root device, for example /dev/sda1",
    "spot": "true or false; true asks for a spot instance, which cannot be stopped: its disk goes with it",
    "max_price": "the most that an hour of a spot instance may cost, in US dollars, for example 0.45",
    "budget": "US dollars a month, for example 10",
    "budget_email": "the e-mail address that hears of the budget, for example me@example.com",
    "az": "the name of the instance's zone, for example us-east-1b (`sd zones` lists those that offer a type)",
    "zones": "1, 2 or 3 (the region's first zones), or names of further zones, for example us-east-1b,us-east-1c; "
    "a fleet uses them all, and has 3 unless you say otherwise",
    "fleet": f"a whole number from 1 to {MOST_MACHINES}: the most machines that a batch may have at a time",
    "fleet_types": "GPU instance types for the fleet, best first, with commas between them, for example "
    "g6.xlarge,g5.xlarge; those whose card is too small for the model are left out",
    "fleet_on_demand": "a whole number from 0 to 100: how many percent of the fleet's machines are no spot instances",
    "fleet_fallback": "true or false; true moves the fleet to on-demand for half an hour after two spot losses within "
    "15 minutes",
    "notify_email": "the e-mail address that hears when a batch is done or stuck, for example me@example.com",
}


def _split(value: Any) -> Any:
    if isinstance(value, str) and not value.isdigit():
        return [name.strip() for name in value.split(",")]
    return value


def as_context(value: object) -> str:
    """A value as `-c NAME=VALUE` takes it."""
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


ZoneName = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z0-9]+)+[a-z]$")]
ZoneNames = Annotated[list[ZoneName], Field(min_length=1, max_length=26)]
ZoneCount = Annotated[int, Field(ge=1, le=3)]
FleetTypes = Annotated[list[Annotated[str, Field(pattern=GPU_TYPE)]], Field(min_length=1, max_length=40)]
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


class Settings(BaseModel):
    """What `-c NAME=VALUE` can say; `from_context` refuses anything else about these names."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    stack: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")] = USUAL_STACK
    keep_results: bool = True
    output_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    output_key: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$")] | None = None
    ami: Annotated[str, Field(pattern=r"^ami-([0-9a-f]{8}|[0-9a-f]{17})$")] | None = None
    root_device: Annotated[str, Field(pattern=r"^/dev/[a-z0-9]+$")] = "/dev/xvda"
    spot: bool = False
    max_price: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None = None
    budget: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    budget_email: Annotated[str, Field(pattern=EMAIL, max_length=254)] | None = None
    az: ZoneName | None = None
    zones: Annotated[ZoneCount | ZoneNames, BeforeValidator(_split)] = 1
    fleet: Annotated[int, Field(ge=1, le=MOST_MACHINES)] | None = None
    fleet_types: Annotated[FleetTypes, BeforeValidator(_split)] = USUAL_TYPES
    fleet_on_demand: Annotated[int, Field(ge=0, le=100)] = 0
    fleet_fallback: bool = False
    notify_email: Annotated[str, Field(pattern=EMAIL, max_length=254)] | None = None

    def given(self) -> dict[str, str]:
        """What differs from the defaults, as `-c` takes it."""
        values = self.model_dump(exclude_defaults=True)
        return {name: as_context(value) for name, value in values.items()}

    @model_validator(mode="after")
    def _a_bucket_of_yours_is_kept(self) -> Settings:
        if self.output_bucket and not self.keep_results:
            raise ValueError(
                f"keep_results=false would delete output_bucket={self.output_bucket}, which is yours: leave one out"
            )
        return self

    @model_validator(mode="after")
    def _a_key_is_of_a_bucket_of_yours(self) -> Settings:
        if self.output_key and not self.output_bucket:
            raise ValueError(f"output_key={self.output_key} is for a bucket of yours: add -c output_bucket=NAME")
        return self

    @model_validator(mode="after")
    def _a_price_is_a_spot_price(self) -> Settings:
        if self.max_price is not None and not self.spot:
            raise ValueError(f"max_price={self.max_price:g} is for spot instances only: add -c spot=true")
        return self

    @model_validator(mode="after")
    def _a_fleet_has_machines(self) -> Settings:
        if self.fleet is None and (alone := sorted(self.model_fields_set & {*OF_A_FLEET})):
            given = f"{alone[0]}={as_context(getattr(self, alone[0]))}"
            raise ValueError(f"{given} is for a fleet: add -c fleet=N, or leave it out")
        return self

    @model_validator(mode="after")
    def _a_budget_has_a_reader(self) -> Settings:
        if (self.budget is None) != (self.budget_email is None):
            raise ValueError("budget and budget_email belong together: -c budget=10 -c budget_email=me@example.com")
        return self


OF_A_FLEET = ("fleet_types", "fleet_on_demand", "fleet_fallback")
# What the CDK's own context has in its names: feature flags, and answers that `cdk.context.json` keeps.
OF_THE_CDK = ("@", ":", "aws-cdk")
# `zone` is as like `zones` as 0.89, `spt` as like `spot` as 0.86; the context of other apps must pass.
LIKENESS = 0.75


def nearest_setting(name: str) -> str | None:
    """The setting that was meant by a name that is none; None where no name is that like it."""
    found = difflib.get_close_matches(name.lower().replace("-", "_"), Settings.model_fields, n=1, cutoff=LIKENESS)
    return found[0] if found else None


def settings_from_context(context: Mapping[str, Any], *, region: str = "") -> Settings:
    """The settings from CDK context values; an empty one (`-c budget=`) is none.

    Raises `SystemExit` with a sentence for a value that breaks a rule or cannot be had in `region`, and for a name that
    is nearly one of ours: a misspelled `max_price` would be a machine without a limit. Names of other apps may stand in
    a person's `cdk.json`.
    """
    for name in context:
        if name in Settings.model_fields or any(mark in name for mark in OF_THE_CDK):
            continue
        if meant := nearest_setting(name):
            raise SystemExit(f"sd-on-ec2: -c {name}: there is no such setting. Did you mean {meant}?")
    given = {name: context[name] for name in Settings.model_fields if context.get(name) not in (None, "")}
    if region and "fleet" in given:
        given.setdefault("zones", FLEET_ZONES_OF.get(region, FLEET_ZONES))
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        if not found["loc"]:
            raise SystemExit(f"sd-on-ec2: {found['msg'].removeprefix('Value error, ')}") from error
        name = str(found["loc"][0])
        raise SystemExit(f"sd-on-ec2: -c {name}={given[name]}: it must be {RULES[name]}") from error
    if settings.budget is not None and (why := why_no_budget(region)):
        raise SystemExit(f"sd-on-ec2: -c budget={settings.budget:g}: {why}. Instead, {INSTEAD}.")
    return settings
