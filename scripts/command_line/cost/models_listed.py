"""`sd models`: the catalogue, with what its images cost on the smallest machine that draws them."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from scripts.command_line.account.price_list import find_prices
from scripts.command_line.cost.estimate import image_basis, image_seconds, running_usd
from scripts.command_line.documents.money import ModelRow, ModelsDocument
from scripts.command_line.terminal.plain_text import print_plain
from stacks.facts.instance_types import InstanceType
from stacks.facts.machine_parameters import MachineParameters
from stacks.facts.model_refusal import AS_USUAL, Ways, smallest_type, volume_need_gib
from userdata.bill.prices import RATES_REGION, HourlyPrice, read_prices
from userdata.contract.catalogue import OFF, Model, read_catalogue
from userdata.job.job import Job

# Columns of the table, with room for every figure.
NARROW, WIDE = 58, 80


@dataclass(frozen=True)
class ListedModel:
    """A model, drawn with as it is by default, on `smallest`, the smallest type that it fits, with a disk of its need.

    `seconds` are those of an image there and `usd` the price of 1,000 of them, on demand and without the boot; None
    where there is no figure. `kept` is the type that the weights are kept in there, `off` for their own. `basis` is
    what the seconds rest on.
    """

    name: str
    model: Model
    job: Job
    smallest: InstanceType
    kept: str
    disk_gib: int
    price: HourlyPrice | None
    seconds: float | None
    usd: float | None
    basis: str


def list_models(region: str = RATES_REGION) -> list[ListedModel]:
    """Every model of the catalogue, with the prices of the repository's table."""
    return [_listed(name, model, region) for name, model in read_catalogue().items()]


def _listed(name: str, model: Model, region: str) -> ListedModel:
    job, smallest = Job(model=name), smallest_type(model)
    assert smallest  # a test holds it
    disk = max(MachineParameters().volume_size, volume_need_gib(model))
    price = find_prices(None, region, [smallest.name]).get((smallest.name, "on-demand"))
    seconds = image_seconds(job, smallest)
    usd = None
    if price is not None and seconds is not None:
        usd = running_usd(price, read_prices().rates_of(region), 1000 * seconds / 60, disk_gib=disk)
    return ListedModel(
        name=name,
        model=model,
        job=job,
        smallest=smallest,
        kept=AS_USUAL.kept_on(model, smallest.gpu),
        disk_gib=disk,
        price=price,
        seconds=seconds,
        usd=usd,
        basis=image_basis(job, smallest),
    )


def show_models(listed: list[ListedModel], region: str, console: Console) -> None:
    """Prints the table, in up to 80 columns, and what its marks and figures mean. No figure is cut off."""
    width = max(NARROW, min(WIDE, console.width))
    table = Table(box=None, pad_edge=False, collapse_padding=width < WIDE, width=width)
    table.add_column("model", no_wrap=True)
    table.add_column("good at")
    for title in ("GB", "smallest", "$/1,000"):
        # A type is folded where the table is narrow, at the space before how the weights are kept.
        foldable = title == "smallest" and width < WIDE
        table.add_column(title, justify="right", no_wrap=not foldable, min_width=11 if foldable else None)
    for one in listed:
        mark = " *" if one.model.forbids else " +" if one.model.gated else ""
        smallest = f"{one.smallest.name} {one.kept}" if one.kept != OFF else one.smallest.name
        size = f"{one.model.bytes / 1e9:.1f}" if one.model.bytes else "-"
        usd = "-" if one.usd is None else f"{one.usd:.2f}"
        table.add_row(one.name + mark, one.model.good_at, size, smallest, usd)
    console.print(table, crop=False)
    for note in _notes(listed, region):
        print_plain(note, console)


def _notes(listed: list[ListedModel], region: str) -> list[str]:
    restricted = [one.model for one in listed if one.model.forbids]
    if not any(one.price for one in listed):
        return [f"No price of an instance is known for {region}.", *_marks(restricted)]
    return [
        f"Each model in its own size and steps, on the smallest type that it fits, on demand in {region}, without the "
        "boot. Dollars are projections, from each card's speed and each model's arithmetic (docs/cost.md).",
        *_kept(listed),
        *_marks(restricted),
    ]


def _kept(listed: list[ListedModel]) -> list[str]:
    """Where the weights of a model are kept in a smaller type, and where it needs none."""
    told = []
    for one in (one for one in listed if one.kept != OFF):
        without = smallest_type(one.model, Ways(quantize=OFF))
        told.append(f"{one.name} in {one.kept}" + (f", on {without.name} without" if without else ""))
    words = "Weights are kept in a smaller type where a card is too small (docs/models.md), which changes the images"
    return [f"{words}: {'; '.join(told)}."] if told else []


def _marks(restricted: list[Model]) -> list[str]:
    return [
        *[
            f"* {model.name}: its licence {model.forbids}. It is drawn with after `sd deploy --accept-licence "
            f"{model.name}`."
            for model in restricted
        ],
        "+ wants a token of the hub. docs/models.md has more about each.",
    ]


def models_document(listed: list[ListedModel], region: str) -> ModelsDocument:
    """The catalogue, for programs (docs/models.md)."""
    return ModelsDocument(region=region, models=[_row(one) for one in listed])


def _row(one: ListedModel) -> ModelRow:
    model = one.model
    return ModelRow(
        name=one.name,
        title=model.title,
        good_at=model.good_at,
        licence=model.licence,
        licence_forbids=model.forbids,
        gated=model.gated,
        page=model.page,
        download_bytes=model.bytes,
        number_type="bfloat16" if model.needs_bfloat16("autocast") else "float16",
        gpu_memory_gib=model.memory_gib,
        gpu_memory_gib_full=model.full_memory_gib,
        gpu_memory_gib_quantized=dict(model.quantized_gib),
        width=one.job.W,
        height=one.job.H,
        steps=one.job.ddim_steps,
        guidance_scale=one.job.scale,
        negative_prompt=model.guided,
        image_to_image=model.image_to_image,
        samplers=list(model.samplers) if model.samplers else None,
        smallest_type=one.smallest.name,
        quantize=one.kept,
        card=one.smallest.gpu.name,
        volume_gib=one.disk_gib,
        usd_per_hour=one.price.usd if one.price else None,
        price_source=one.price.source if one.price else None,
        seconds_per_image=one.seconds,
        usd_per_1000_images=one.usd,
        basis=one.basis,
    )
