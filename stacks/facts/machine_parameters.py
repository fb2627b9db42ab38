"""The parameters of the machine, beside those of the job: its type, its disk, who may log in, and when it stops."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, field_validator

from userdata.contract.catalogue import read_catalogue
from userdata.job.choices import Switch
from userdata.job.parameter import parameter, plain_fraction, plain_number

# The families that the Deep Learning AMI's driver supports, by its release notes of 2026-09. Left out: G6f and Gr6f, a
# part of a card behind a driver of another kind.
GPU_FAMILIES = "g4dn|g5|g6|gr6|g6e|g7|g7e|p4d|p4de|p5|p5e|p5en|p6-b200|p6-b300"
GPU_TYPE = rf"^(?:{GPU_FAMILIES})\.(?:metal|(?:2|4|8|12|16|24|48)?xlarge)$"

# The alarm outside looks back a day at most, in the five minutes that EC2 reports in: see stacks/lifetime.py.
LONGEST_HOURS = 24

# Parameters that the machine itself never asks for. They stay out of the user data, which must be short, so that a
# change of them does not restart the instance.
FOR_THE_DEPLOYMENT_ONLY = frozenset({"InstanceType", "SshCidr", "Replaces", "AcceptLicence"})
# The models whose licence forbids something that people want to do, see docs/models.md.
RESTRICTED = [name for name, model in read_catalogue().items() if model.forbids]


class AfterRun(StrEnum):
    """What the instance does once its work is done and the idle time is over."""

    stop = "stop"
    terminate = "terminate"
    keep = "keep"


class OnFailure(StrEnum):
    """What the instance does when a step or the work has failed."""

    stop = "stop"
    keep = "keep"


class MachineParameters(BaseModel):
    """What is deployed around a job. Raises `pydantic.ValidationError`, as `Job` does."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, use_enum_values=True, defer_build=True
    )

    _plain_numbers = field_validator("max_spend", "usd_per_hour", mode="before")(plain_number)
    _plain_fractions = field_validator("volume_size", "idle_minutes", "max_hours", mode="before")(plain_fraction)

    instance_type: str = parameter(
        "g6.xlarge",
        name="InstanceType",
        description="EC2 instance type, with an NVIDIA GPU.",
        rule="a GPU instance type that the Deep Learning AMI supports (G4dn, G5, G6, Gr6, G6e, G7, G7e, P4, P5, P6), "
        "for example g6.xlarge",
        pattern=GPU_TYPE,
    )
    volume_size: int = parameter(
        100,
        name="VolumeSize",
        description="Size of the encrypted gp3 root volume in GiB; the image itself needs 75. Another size replaces "
        "the instance.",
        ge=80,
        le=16384,
    )
    ssh_cidr: str = parameter(
        "",
        name="SshCidr",
        description="IPv4 range that may reach port 22. Empty: no port is open, and Session Manager gives a shell.",
        rule="empty, or an IPv4 range no wider than /8, for example 203.0.113.7/32",
        pattern=r"^$|^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}"
        r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])/(?:[89]|[12][0-9]|3[0-2])$",
    )
    after_run: AfterRun = parameter(
        "stop",
        name="AfterRun",
        description="What the instance does when the run is over and the idle time has passed. stop keeps its disk "
        "for the next prompt, terminate deletes it, keep leaves the instance running until MaxHours.",
    )
    on_failure: OnFailure = parameter(
        "stop",
        name="OnFailure",
        description="What the instance does when a step fails. keep leaves it running for a look until MaxHours.",
    )
    idle_minutes: int = parameter(
        2,
        name="IdleMinutes",
        description="How long the instance stays up after its last image, in minutes.",
        ge=0,
        le=1440,
    )
    max_hours: int = parameter(
        12,
        name="MaxHours",
        description="Hard limit of one uptime in hours. A timer in the guest and an alarm outside it end the instance.",
        ge=1,
        le=LONGEST_HOURS,
    )
    max_spend: float = parameter(
        0,
        name="MaxSpend",
        description="What the run may cost in US dollars, from the boot to the end of the idle time; 0 sets no "
        "limit. The work ends before an image that would pass the limit, and finished images stay.",
        example=2.5,
        ge=0,
        le=10000,
        allow_inf_nan=False,
    )
    usd_per_hour: float = parameter(
        0,
        name="UsdPerHour",
        description="What an hour of the instance costs in US dollars, for MaxSpend and the report; 0 takes the price "
        "from userdata/prices.json.",
        example=1.006,
        ge=0,
        le=1000,
        allow_inf_nan=False,
    )
    replaces: str = parameter(
        "",
        name="Replaces",
        description="The id of an instance that is gone. Another value makes a new instance in its place.",
        rule="empty, or the id of an instance, for example i-0123456789abcdef0",
        pattern=r"^$|^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$",
    )
    hub_token: str = parameter(
        "",
        name="HubToken",
        description="Name of a SecureString in Parameter Store with a Hugging Face token. Some models ask for one.",
        rule="empty, or the name of a parameter that begins with a slash, for example /sd-on-ec2/hugging-face",
        max_length=64,
        pattern=r"^$|^(?:/[A-Za-z0-9_.-]+)+$",
    )
    accept_licence: str = parameter(
        "",
        name="AcceptLicence",
        description="The name of a model whose licence forbids some uses, by who has read it and keeps to it.",
        rule=f"empty, or the name of a model under such a licence: {', '.join(RESTRICTED)}",
        pattern=f"^$|^(?:{'|'.join(RESTRICTED)})$",
    )
    cache: Switch = parameter(
        "on",
        name="Cache",
        description="Whether the first success keeps environment and weights in the results bucket. They stay for 30 "
        "days (in an output_bucket, until you delete them), so that the next new instance starts sooner. off keeps and "
        "takes nothing.",
    )
