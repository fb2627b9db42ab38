from __future__ import annotations

import pytest

from userdata.batch.unit import MOST_LINE_BYTES, MOST_UNIT_IMAGES, Unit, UnitImage
from userdata.job.job import Job
from userdata.job.job_fields import MOST_SAMPLES

IMAGES = [
    UnitImage(index=7, given={"prompt": "a horse", "seed": 11}, name="a horse (1)", line=3),
    UnitImage(index=2, given={"prompt": "马 " * 3000, "seed": 12, "H": 576, "scale": 5.5, "upscale": 2}),
]
UNIT = Unit(unit=4, job=Job(model="tiny", ddim_steps=20, n_samples=3).model_dump(mode="json"), images=IMAGES)


def test_a_unit_is_read_as_it_was_written() -> None:
    line = UNIT.to_line()
    assert line.count(b"\n") == 1
    assert Unit.from_line(line) == UNIT


def test_each_image_has_its_own_index_seed_and_size() -> None:
    job, requests = UNIT.requests()
    assert [(one.index, one.seed, one.H, one.scale, one.line) for one in requests] == [
        (7, 11, job.H, job.scale, 3),
        (2, 12, 576, 5.5, None),
    ]
    assert {one.ddim_steps for one in requests} == {20}
    assert [one.size for one in requests] == [(job.W, job.H), (2 * job.W, 2 * 576)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": 3}, "steps must be the same"),
        ({"model": "stable-diffusion-xl"}, "model must be the same"),
        ({"prompt": " "}, "Image 0: Prompt"),
        ({"H": 5}, "Image 0: Height"),
    ],
)
def test_a_unit_that_breaks_a_rule_is_refused_with_a_sentence(given: dict[str, str | int | float], says: str) -> None:
    unit = Unit(unit=0, job=UNIT.job, images=[UnitImage(index=0, given=given)])
    with pytest.raises(ValueError, match=says):
        unit.requests()


def test_the_original_scripts_draw_no_unit() -> None:
    unit = UNIT.model_copy(update={"job": {**UNIT.job, "engine": "compvis"}})
    with pytest.raises(ValueError, match="draw a whole run from one seed"):
        unit.requests()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"unit": 0, "job": {}, "images": []}',
        b'{"unit": 0, "job": {}, "images": [{"index": 100000, "given": {}}]}',
        b'{"unit": 0, "job": {}, "images": [{"index": 0, "given": {}, "name": "../x"}]}',
        b'{"unit": 0, "job": {}, "images": [{"index": 0, "given": {}, "name": "x/y"}]}',
        b" " * (MOST_LINE_BYTES + 1),
    ],
)
def test_any_other_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"^The unit "):
        Unit.from_line(line)


def test_the_job_of_the_largest_unit_and_the_longest_texts_keeps_the_rules_of_a_job() -> None:
    texts = {"prompt": "a horse, " * 1000, "negative_prompt": "b" * 5000}
    images = [UnitImage(index=index, given={"seed": index, **texts}) for index in range(MOST_UNIT_IMAGES)]
    job, requests = Unit(unit=0, job=UNIT.job, images=images).requests()
    assert len(requests) == MOST_UNIT_IMAGES
    assert {request.prompt for request in requests} == {texts["prompt"]}
    assert Job.model_validate(job.model_dump()).n_samples == MOST_SAMPLES
