"""What a job will take on each instance type, in minutes and dollars. Everything but the price is an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scripts.command_line.account.plan import Plan
from scripts.command_line.account.price_list import Prices
from stacks.facts.card_speeds import basis_of, seconds_per_image
from stacks.facts.instance_types import INSTANCE_TYPES, InstanceType
from stacks.facts.model_refusal import refusal, ways_of
from userdata.bill.prices import HourlyPrice, Rates
from userdata.bill.units import HOURS_PER_MONTH
from userdata.contract.catalogue import find_model, safety_checker
from userdata.contract.worker_environment import LifeCycle
from userdata.job.job import Job

Preparation = Literal["install", "cache", "disk"]
LIFE_CYCLES: tuple[LifeCycle, ...] = ("on-demand", "spot")

# Seconds, and bytes. None was measured on AWS; docs/cost.md says what each rests on.
START = 60.0  # of the instance, with its kernel, cloud-init and the bundle
NEW_DISK = 20.0  # what the image's programs take longer at their first use, because a new volume is read from S3
INSTALL_ENVIRONMENT = 140.0  # conda, packages, and the bytecode of what the worker imports; weights come meanwhile
UNPACK_CACHED_ENVIRONMENT = 60.0
COMPILE_KERNELS = 15.0
LOAD_MODEL = 20.0
PACK_ENVIRONMENT = 60.0  # for the cache, after the first run; weights are written as they are
ENVIRONMENT_BYTES = 5.2e9
DISK_BYTES_PER_SECOND = 131e6  # of a gp3 volume as it comes, and the narrowest place of a first boot
# Seconds of the model in the box for one step of one pixel, on two processor cores (docs/demo-model.md): 1.8 s for its
# image of 128 x 128 with 25 steps.
BOX_STEP_PIXEL = 1.8 / (25 * 128 * 128)
# What a person's own model counts as.
USUAL_LAYOUT = "stable-diffusion-v1"


@dataclass(frozen=True)
class Estimate:
    """One instance type in one life cycle, for one job. Times are in minutes.

    `generate` is None where the card or the model has no figure; then the two sums are None too. `basis` says what it
    rests on, as `image_basis` does. `keep` is the saving of the cache, after the run.
    """

    instance_type: InstanceType
    life_cycle: LifeCycle
    price: HourlyPrice
    prepare: float
    generate: float | None
    basis: str
    idle: float
    keep: float
    usd: float | None
    usd_per_1000_images: float | None

    @property
    def projected(self) -> bool:
        """Whether `generate` does not rest on a measurement of that card with that model."""
        return not self.basis.startswith("measured")


def preparation_minutes(job: Job, preparation: Preparation) -> float:
    """From the start of the instance to the first step of the first image."""
    # Environment and weights come side by side, as fast as the disk takes both.
    written = (ENVIRONMENT_BYTES + weight_bytes(job)) / DISK_BYTES_PER_SECOND
    seconds = {
        "install": NEW_DISK + max(INSTALL_ENVIRONMENT, written) + COMPILE_KERNELS,
        "cache": NEW_DISK + max(UNPACK_CACHED_ENVIRONMENT, written),
        "disk": 0.0,
    }[preparation]
    return (START + seconds + LOAD_MODEL) / 60


def weight_bytes(job: Job) -> int:
    """The size of what the job's machine fetches to draw with: the model and, where it is asked for, the checker."""
    return find_model(job.model).bytes + (safety_checker().bytes if job.checked_for_safety else 0)


def keeping_minutes(plan: Plan, preparation: Preparation) -> float:
    """How long the machine runs on after its first run to write the cache, which later ones find written."""
    if preparation != "install" or str(plan.machine.cache) == "off":
        return 0.0
    return (PACK_ENVIRONMENT + weight_bytes(plan.job) / DISK_BYTES_PER_SECOND) / 60


def image_seconds(job: Job, instance_type: InstanceType) -> float | None:
    """Seconds for one image of the job on that type's card, or None where there is no figure.

    A person's own model counts as large as Stable Diffusion v1. The model in the box counts as fast as on two processor
    cores, because a card would wait for the launches of its small kernels. A model of noise has no figure.
    """
    model = find_model(job.model)
    if model.is_noise:
        return None
    passes = [(job.H * job.W, job.ddim_steps * (job.strength if job.from_image else 1))]
    if job.second_pass_pixels:
        passes.append((job.second_pass_pixels, job.ddim_steps * job.strength))
    if model.bundled_sha256 is not None:
        return sum(BOX_STEP_PIXEL * steps * pixels for pixels, steps in passes)
    seconds = [
        seconds_per_image(
            instance_type.gpu.name,
            layout=model.layout or USUAL_LAYOUT,
            pixels=pixels,
            steps=steps,
            guided=job.scale > 1,
            kept=ways_of(job).kept_on(model, instance_type.gpu),
        )
        for pixels, steps in passes
    ]
    return None if None in seconds else sum(filter(None, seconds))


def image_basis(job: Job, instance_type: InstanceType) -> str:
    """What `image_seconds` rests on, after `measured` or `projected`; `none` without a figure."""
    model = find_model(job.model)
    if model.bundled_sha256 is not None:
        return "projected: two processor cores, since a card would wait for its small kernels"
    return "none" if model.is_noise else basis_of(instance_type.gpu.name, model.layout or USUAL_LAYOUT)


def boot_usd(plan: Plan, price: HourlyPrice, rates: Rates, preparation: Preparation = "install") -> float:
    """The cost of a run before its first image, for the start and the preparation of the instance, in US dollars."""
    return _running_usd(plan, price, rates, preparation_minutes(plan.job, preparation))


def estimates(
    plan: Plan, prices: Prices, rates: Rates, *, preparation: Preparation, types: Sequence[str]
) -> list[Estimate]:
    """An estimate for each type whose card the model fits and each life cycle with a price; cheapest image first."""
    model = find_model(plan.job.model)
    found = [
        _estimate(plan, INSTANCE_TYPES[name], life_cycle, prices[name, life_cycle], rates, preparation)
        for name in types
        for life_cycle in LIFE_CYCLES
        if (name, life_cycle) in prices
        and refusal(model, instance_type=name, volume_size=plan.machine.volume_size, ways=ways_of(plan.job)) is None
    ]
    return sorted(found, key=_cheapest_first)


def types_to_show(chosen: str, *, every: bool) -> list[str]:
    """The smallest type of each card, because a run uses one card, and the chosen type; with `every`, all types."""
    if every:
        return list(INSTANCE_TYPES)
    smallest: dict[str, str] = {}
    for one in sorted(INSTANCE_TYPES.values(), key=lambda one: one.vcpus):
        smallest.setdefault(one.gpu.name, one.name)
    return list(dict.fromkeys([*smallest.values(), chosen]))


def _cheapest_first(one: Estimate) -> tuple[float, float, str, str]:
    per_image = float("inf") if one.usd_per_1000_images is None else one.usd_per_1000_images
    return per_image, one.price.usd, one.instance_type.name, one.life_cycle


def _estimate(
    plan: Plan,
    instance_type: InstanceType,
    life_cycle: LifeCycle,
    price: HourlyPrice,
    rates: Rates,
    preparation: Preparation,
) -> Estimate:
    prepare, idle = preparation_minutes(plan.job, preparation), float(plan.machine.idle_minutes)
    seconds = image_seconds(plan.job, instance_type)
    generate = None if seconds is None else seconds * plan.images_total / 60
    keep = keeping_minutes(plan, preparation)
    whole = None if generate is None else prepare + generate + idle + keep
    return Estimate(
        instance_type=instance_type,
        life_cycle=life_cycle,
        price=price,
        prepare=prepare,
        generate=generate,
        basis=image_basis(plan.job, instance_type),
        idle=idle,
        keep=keep,
        usd=None if whole is None else _running_usd(plan, price, rates, whole),
        usd_per_1000_images=None if seconds is None else _running_usd(plan, price, rates, 1000 * seconds / 60),
    )


def _running_usd(plan: Plan, price: HourlyPrice, rates: Rates, minutes: float) -> float:
    return running_usd(price, rates, minutes, disk_gib=plan.machine.volume_size)


def running_usd(price: HourlyPrice, rates: Rates, minutes: float, *, disk_gib: int) -> float:
    """The instance, its address and its disk for that many minutes, in US dollars."""
    disk = disk_gib * rates.disk_gb_month / HOURS_PER_MONTH
    return minutes / 60 * (price.usd + rates.address_hour + disk)
