"""How images are cut into units: every image once, whatever the rows, and as the worker takes it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import boto3
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.batching.cut import cut_into_parts, spread
from scripts.command_line.batching.jobs import Jobs
from scripts.command_line.batching.read import Images
from scripts.command_line.batching.rows import Row
from scripts.command_line.batching.spool import Spool
from stacks.parameters import GROUPS, parameters_of
from userdata.batch.unit import Unit
from userdata.fleet.decision import Offer, Way
from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job

PARAMETERS = {p.name: str(p.properties["default"]) for model in GROUPS.values() for p in parameters_of(model)}
DEPLOYMENT = Deployment("SdOnEc2", "CREATE_COMPLETE", PARAMETERS, {"ResultsBucket": "b", "InstanceId": "i-1"})
ROWS = st.fixed_dictionaries(
    {"prompt": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip)},
    optional={
        "model": st.sampled_from(["tiny", "demo"]),
        "negative_prompt": st.sampled_from(["", "blurry"]),
        "H": st.sampled_from([64, "128", 130]),
        "ddim_steps": st.sampled_from(["5", 6]),
        "sampler": st.sampled_from(["Euler a", "ddim"]),
        "seed": st.one_of(st.integers(0, 2**63 - 1), st.just("-1")),
        "n_iter": st.integers(1, 3),
    },
)


@given(st.lists(ROWS, min_size=1, max_size=8), st.sampled_from([[{}], [{"scale": "5"}, {"scale": "6"}]]), st.data())
@settings(max_examples=25, deadline=None)
def test_every_image_is_in_one_unit_and_drawn_as_its_row_says(
    rows: list[dict[str, Any]], cells: list[dict[str, str]], data: st.DataObject
) -> None:
    jobs = Jobs(boto3.Session(region_name="us-east-1"), DEPLOYMENT, {})
    with closing(Spool(first=100)) as spool:
        read = [Row(line, row) for line, row in enumerate(rows, 1) if not _is_refused(row)]
        if not read:
            return
        Images(jobs, spool, cells, 7).read(lambda refusals: read, "rows")
        units = list(spool.units(lambda job: data.draw(st.integers(1, 4))))
    assert [unit.unit for unit in units] == list(range(len(units)))
    drawn: dict[int, tuple[ImageRequest, Job]] = {}
    for unit in units:
        job, requests = Unit.from_line(unit.to_line()).requests()
        assert len({(job.model, request.batch_key) for request in requests}) == 1
        drawn |= {request.index: (request, job) for request in requests}
    wanted = [row for row in read for _ in cells for _ in range(int(row.given.get("n_iter", 1)))]
    assert sorted(drawn) == list(range(100, 100 + len(wanted)))
    for (_, (request, job)), row in zip(sorted(drawn.items()), wanted, strict=True):
        assert (request.prompt, request.line) == (row.given["prompt"], row.line)
        assert job.model == row.given.get("model", PARAMETERS["Model"])
        assert request.negative_prompt == row.given.get("negative_prompt", "")
        assert request.ddim_steps == int(row.given.get("ddim_steps", request.ddim_steps))
        assert int(row.given.get("H", request.H)) // 8 * 8 == request.H


def _is_refused(row: dict[str, Any]) -> bool:
    """Weights and LoRAs that are none."""
    return any(mark in row["prompt"] for mark in "<>()[]")


@given(st.integers(1, 500), st.integers(1, 500))
def test_a_sample_is_spread_over_all_images(images: int, wanted: int) -> None:
    wanted = min(images, wanted)
    numbers = sorted(spread(images, wanted))
    assert len(numbers) == wanted
    assert numbers[0] == 0
    assert all(
        images // wanted <= right - left <= -(-images // wanted)
        for left, right in zip(numbers, [*numbers[1:], images], strict=True)
    )


def test_images_with_other_weights_of_a_lora_share_no_unit() -> None:
    """They are merged into the model, which all images of a unit are drawn with."""
    with closing(Spool()) as spool:
        for line, weight in enumerate((0.5, 1, 0.5), 1):
            job = Job(
                model="tiny", prompt=f"a <lora:style:{weight}>", lora="inputs/style.safetensors", n_iter=1, n_samples=1
            )
            spool.add(job, image_requests(job)[0], None, line)
        units = [[image.index for image in unit.images] for unit in spool.units(lambda job: 9)]
    assert units == [[0, 2], [1]]


def test_units_are_sized_by_the_slowest_card_of_the_ways() -> None:
    """A T4 takes 13.3 s for such an image, and an H100 0.4 s."""
    ways = [
        Way(Offer(kind, "spot", 1.0, None, 0.0, of_fleet=True), 1, None, None) for kind in ("p5.4xlarge", "g4dn.xlarge")
    ]
    with closing(Spool()) as spool:
        for line in range(1, 10):
            job = Job(prompt="a", n_iter=1, n_samples=1)
            spool.add(job, image_requests(job)[0], None, line)
        (written,) = cut_into_parts(spool, ways)
    assert [len(Unit.from_line(line).images) for line in written.file] == [5, 4]
