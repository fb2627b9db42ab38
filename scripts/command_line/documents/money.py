"""Documents about models and money."""

from __future__ import annotations

from scripts.command_line.documents.document import Document, Part
from userdata.bill.cost import Cost


class EstimateRow(Part):
    """What a job costs on one type. `at_most` marks a price that is an upper bound; None where no figure is known.

    `basis` says what the time of drawing rests on, after `measured` or `projected`; `none` without a figure.
    """

    instance_type: str
    card: str
    life_cycle: str
    usd_per_hour: float
    at_most: bool
    price_source: str
    prepare_minutes: float | None
    generate_minutes: float | None
    idle_minutes: float | None
    keep_minutes: float | None
    usd: float | None
    usd_per_1000_images: float | None
    basis: str


class RemainingRow(Part):
    """What goes on costing when nothing runs."""

    when: str
    what: str
    usd_per_month: float


class CostDocument(Document):
    """What a job will cost: `sd cost --json`. `refused` says why its model does not fit the machine, if it does not."""

    region: str
    images: int
    estimates: list[EstimateRow]
    remaining: list[RemainingRow]
    refused: str | None


class RunCostRow(Part):
    """What a run did cost, by its receipts; None where there is none."""

    run_id: str
    cost: Cost | None


class ActualCostDocument(Document):
    """What the runs did cost: `sd cost --actual --json`."""

    usd: float
    runs: list[RunCostRow]
    not_in_it: str


class ModelRow(Part):
    """A model of the catalogue, and what it costs on the smallest type that it fits; None where no figure is known."""

    name: str
    title: str
    good_at: str
    licence: str
    licence_forbids: str | None
    gated: bool
    page: str | None
    download_bytes: int
    number_type: str
    gpu_memory_gib: float | None
    gpu_memory_gib_full: float | None
    gpu_memory_gib_quantized: dict[str, float]
    width: int
    height: int
    steps: int
    guidance_scale: float
    negative_prompt: bool
    image_to_image: bool
    samplers: list[str] | None
    smallest_type: str
    quantize: str
    card: str
    volume_gib: int
    usd_per_hour: float | None
    price_source: str | None
    seconds_per_image: float | None
    usd_per_1000_images: float | None
    basis: str


class ModelsDocument(Document):
    """The catalogue: `sd models --json` (docs/models.md)."""

    region: str
    models: list[ModelRow]
