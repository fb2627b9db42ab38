"""The plan of a deploy: the parameters and settings that were typed, over those of the deployment that stands."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.command_line.account.deployment import Deployment, deployed_settings
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import FIELDS, check_parameters
from scripts.command_line.terminal.written_context import written_context
from stacks.facts.machine_parameters import MachineParameters
from stacks.facts.settings import OF_THE_CDK, Settings, nearest_setting, settings_from_context
from stacks.facts.usual_stack import USUAL_STACK
from userdata.contract.run_name import run_name
from userdata.contract.worker_environment import LifeCycle
from userdata.job.job import Job
from userdata.job.parameter import is_models_own

# A change of one of these replaces the instance of a deployment.
REPLACING_PARAMETERS = ("VolumeSize", "Replaces")
# What neither the launch template nor the user data has.
OF_NO_LAUNCH = ("SshCidr", "AcceptLicence")
REPLACING_SETTINGS = ("spot", "max_price", "ami", "root_device", "az")
NUMBERS = frozenset(str(field.alias) for field in FIELDS.values() if field.annotation in (int, float))
LEADING_ZEROS = re.compile(r"^0+(?=[0-9])")


@dataclass(frozen=True)
class Plan:
    """A deploy that has not happened yet, checked by the rules of its parameters and settings.

    `deployment` stands before the deploy, None for nothing. `changes` are the parameters to send and `context` the
    settings to send, both as text; `job`, `machine` and `settings` are what stands after the deploy. `prompts` is how
    many prompts the prompt file has, 1 without a file. `typed` are the parameters in a person's own words, in which a
    file of this machine has no key. `uploads` are the model's files of this machine that the deploy uploads,
    by the keys in the results bucket that they will have.
    """

    job: Job
    machine: MachineParameters
    settings: Settings
    deployment: Deployment | None
    changes: Mapping[str, str]
    context: Mapping[str, str]
    prompts: int = 1
    typed: Mapping[str, str] = field(default_factory=dict)
    uploads: Mapping[str, Path] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters after the deploy, as text, as far as the deployment or the changes name them.

        A first deploy leaves to the model what it is not told, as the template does.
        """
        fields = Job.model_fields.values()
        left_to_the_model = {str(field.alias): "" for field in fields if is_models_own(field)}
        return {**(self.deployment.parameters if self.deployment else left_to_the_model), **self.changes}

    @property
    def run_id(self) -> str:
        """The name of the run that the deployed job will be.

        Raises `CommandError` when that hangs on a parameter that stands and cannot be told.
        """
        if self.deployment:
            self.deployment.need_told(given=self.changes)
        return run_name({**self.job.model_dump(by_alias=True), **self.parameters})

    @property
    def images_total(self) -> int:
        """How many images the run makes. Each prompt is drawn as often as the job says, whatever its line says."""
        return self.job.images_total * self.prompts

    @property
    def life_cycle(self) -> LifeCycle:
        """How EC2 will bill the instance."""
        return "spot" if self.settings.spot else "on-demand"

    @property
    def moves(self) -> bool:
        """Whether a parameter or a setting asks for another instance than that of the deployment, whatever the job."""
        if self.deployment is None:
            return False
        before = self.deployment.parameters
        after = self.machine.model_dump(by_alias=True)
        changed = any(before.get(name, str(after[name])) != str(after[name]) for name in REPLACING_PARAMETERS)
        settings_before, settings_after = deployed_settings(self.deployment), self.settings.given()
        other = any(settings_before.get(name) != settings_after.get(name) for name in REPLACING_SETTINGS)
        return changed or other

    @property
    def replaces(self) -> bool:
        """Whether the deploy replaces the instance of the deployment, as far as can be told beforehand."""
        if self.deployment is None:
            return False
        before = self.deployment.parameters
        # An instance that does not outlive its run has its type and its user data, and with that the job, in its launch
        # template, before this deploy or after it.
        passes = self.settings.spot or "terminate" in (before.get("AfterRun"), self.machine.after_run)
        job = any(before.get(name) != value for name, value in self.changes.items() if name not in OF_NO_LAUNCH)
        return self.moves or (passes and job)

    def on(self, instance_type: str, zone: str | None) -> Plan:
        """The same plan with an instance of that type, in that zone; None leaves the zone as it is."""
        return dataclasses.replace(
            self,
            machine=self.machine.model_copy(update={"instance_type": instance_type}),
            settings=self.settings.model_copy(update={"az": zone or self.settings.az}),
            changes={**self.changes, "InstanceType": instance_type},
            context={**self.context, **({"az": zone} if zone else {})},
        )

    def replacing(self, instance_id: str) -> Plan:
        """The same plan, which also makes a new instance in the place of that one."""
        return dataclasses.replace(
            self,
            machine=self.machine.model_copy(update={"replaces": instance_id}),
            changes={**self.changes, "Replaces": instance_id},
        )


def parse_context(context: Sequence[str], stack: str) -> dict[str, str]:
    """The settings by name, from `NAME=VALUE`, and context of the CDK's own. `--stack` is the setting `stack`, too.

    Raises `CommandError` for anything else, which `cdk` would ignore.
    """
    for setting in context:
        name, equals, _ = setting.partition("=")
        if not equals:
            raise CommandError(
                f"-c {setting}: a setting is NAME=VALUE, for example -c keep_results=false.", exit_status=2
            )
        if name not in Settings.model_fields and not any(mark in name for mark in OF_THE_CDK):
            meant = nearest_setting(name)
            more = f"Did you mean {meant}?" if meant else f"The settings are {', '.join(Settings.model_fields)}."
            raise CommandError(f"-c {name}: there is no such setting. {more}", exit_status=2)
    typed = dict(setting.split("=", 1) for setting in context)
    named = typed.get("stack") or stack
    if stack not in (named, USUAL_STACK):
        raise CommandError(f"--stack is {stack}, but -c stack is {named}. Leave one out.", exit_status=2)
    # The CDK obeys its files too, so the plan must know what they say.
    settings = {name: value for name, value in written_context().items() if name in Settings.model_fields}
    return {**settings, **typed, **({} if named == USUAL_STACK else {"stack": named})}


def make_plan(deployment: Deployment | None, given: Mapping[str, str], context: Mapping[str, str]) -> Plan:
    """The plan for the parameters `given` and the settings `context` over those of `deployment`.

    Here alone they are merged and checked. Raises `CommandError`, for misuse, with a sentence for each value that
    breaks a rule.
    """
    context = {**deployed_settings(deployment), **context}
    try:
        settings = settings_from_context(context)
    except SystemExit as refusal:
        raise CommandError(str(refusal.code).removeprefix("sd-on-ec2: "), exit_status=2) from refusal
    job, machine = check_parameters({**(deployment.parameters if deployment else {}), **given})
    # What CloudFormation knows: our name of the sampler alone, and numbers without leading zeros.
    given = {name: LEADING_ZEROS.sub("", text) if name in NUMBERS else text for name, text in given.items()}
    if given.get("Sampler"):
        given = {**given, "Sampler": str(job.sampler)}
    return Plan(
        job=job, machine=machine, settings=settings, deployment=deployment, changes=dict(given), context=context
    )
