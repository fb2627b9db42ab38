"""What is about to be deployed: the parameters and settings that were given, over what is deployed already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.command_line.account.deployment import Deployment, deployed_settings
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import check_parameters
from stacks.facts.machine_parameters import MachineParameters
from stacks.facts.settings import Settings, settings_from_context
from userdata.contract.worker_environment import LifeCycle
from userdata.job.job import Job

# What replaces the instance in an existing stack, with the parameter or the output that tells what is there.
REPLACING_PARAMETERS = ("VolumeSize", "Replaces")
REPLACING_SETTINGS = ("spot", "max_price", "ami", "root_device")


@dataclass(frozen=True)
class Plan:
    """A deploy that has not happened. `deployment` is what is there before it, None for nothing.

    `prompts` is how many its prompt file has, 1 without one.
    """

    job: Job
    machine: MachineParameters
    settings: Settings
    deployment: Deployment | None
    prompts: int = 1

    @property
    def images_total(self) -> int:
        """How many images the run makes. Each prompt is drawn as often as the job says, whatever its line says."""
        return self.job.images_total * self.prompts

    @property
    def life_cycle(self) -> LifeCycle:
        """How EC2 will bill the instance."""
        return "spot" if self.settings.spot else "on-demand"

    @property
    def replaces(self) -> bool:
        """Whether the deploy makes a new instance in the place of one that is there, as far as it can be told."""
        if self.deployment is None:
            return False
        before = self.deployment.parameters
        after = self.machine.model_dump(by_alias=True)
        changed = any(before.get(name, str(after[name])) != str(after[name]) for name in REPLACING_PARAMETERS)
        zones = self.deployment.outputs.get("Zones")
        moves = self.settings.az is not None and zones is not None and self.settings.az != zones.split(",")[0]
        settings_before, settings_after = deployed_settings(self.deployment), self.settings.given()
        other = any(settings_before.get(name) != settings_after.get(name) for name in REPLACING_SETTINGS)
        return changed or moves or other


def parse_context(context: Sequence[str]) -> dict[str, str]:
    """The settings by name, from `NAME=VALUE`. Raises `CommandError` for anything else, as `cdk` would pass it over."""
    for setting in context:
        if "=" not in setting:
            raise CommandError(f"-c {setting}: a setting is NAME=VALUE, for example -c keep_results=false.")
    return dict(setting.split("=", 1) for setting in context)


def check_settings(context: Mapping[str, str]) -> Settings:
    """The settings, checked as the deploy itself checks them. Raises `CommandError` with exit status 2."""
    try:
        return settings_from_context(context)
    except SystemExit as refusal:
        raise CommandError(str(refusal.code).removeprefix("sd-on-ec2: "), exit_status=2) from refusal


def make_plan(deployment: Deployment | None, given: Mapping[str, str], context: Mapping[str, str]) -> Plan:
    """The plan for what was given. Raises `CommandError` with a sentence for each value that breaks a rule."""
    before = deployment.parameters if deployment else {}
    job, machine = check_parameters({**before, **given})
    return Plan(job=job, machine=machine, settings=check_settings(context), deployment=deployment)
