from __future__ import annotations

from random import Random

import pytest
import torch

from demo_model.training.train_text_encoder import Reader, reading_loss, subjects_boxes
from demo_model.world.labels import UNSAID, label
from demo_model.world.render import Columns, tabulate
from demo_model.world.scene import Scene, draw_scene


def scenes_of(count: int) -> list[Scene]:
    random = Random(5)
    return [draw_scene(random) for _ in range(count)]


def columns_of(scenes: list[Scene]) -> Columns:
    return {**tabulate(scenes, 5), **label(scenes)}


def test_the_box_of_a_subject_is_that_of_its_thing() -> None:
    columns = columns_of(scenes_of(200))
    boxes = subjects_boxes(columns["boxes"], columns["things"])
    paired = 0
    for row, things in enumerate(columns["things"].tolist()):
        for column, thing in enumerate(things):
            if thing != UNSAID:
                drawn = [box[1:5].tolist() for box in columns["boxes"][row] if int(box[0]) == thing]
                assert boxes[row, column].tolist() in drawn
        paired += things[1] != UNSAID
    assert 20 < paired < 180


def right_answers(columns: Columns) -> dict[str, torch.Tensor]:
    """Logits as sure as can be of what the scenes' labels say, and the boxes themselves."""
    reader = Reader()
    answers: dict[str, torch.Tensor] = reader(torch.randn(len(columns["things"]), 77, reader.questions.shape[1]))
    for name, logits in answers.items():
        if name == "box":
            answers[name] = subjects_boxes(columns["boxes"], columns["things"]) / 128
        else:
            wanted = columns[name] - (columns[name] > 0).long() if name == "count" else columns[name]
            answers[name] = torch.full_like(logits, -30.0).scatter(-1, wanted.clamp(min=0)[..., None], 30.0)
    return answers


def test_right_answers_cost_nothing() -> None:
    columns = columns_of(scenes_of(50))
    assert reading_loss(right_answers(columns), columns).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", ["things", "colours", "relation", "count", "backdrop", "place", "time", "box"])
def test_every_wrong_answer_costs(name: str) -> None:
    columns = columns_of(scenes_of(50))
    answers = right_answers(columns)
    answers[name] = answers[name] + 0.1 if name == "box" else -answers[name]
    assert reading_loss(answers, columns).item() > 0.5


def test_what_a_scene_does_not_say_costs_nothing() -> None:
    columns = columns_of([scene for scene in scenes_of(200) if scene.relation is None])
    answers = right_answers(columns)
    answers["relation"] = torch.randn_like(answers["relation"]) * 10
    assert reading_loss(answers, columns).item() == pytest.approx(0, abs=1e-5)
