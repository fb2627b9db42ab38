from __future__ import annotations

from random import Random

import pytest

from demo_model.world.arrangements import RELATIONS
from demo_model.world.held_out import pair_is_held_out
from demo_model.world.scene import Scene, draw_held_out_scene, draw_scene
from demo_model.world.sprites import proportions
from demo_model.world.things import INDEX, THINGS


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    random = Random(1)
    return [draw_scene(random) for _ in range(3000)]


def test_there_are_at_least_150_things_each_with_a_picture_and_a_name_of_its_own() -> None:
    assert len(THINGS) >= 150
    assert len({thing.name for thing in THINGS}) == len({thing.emoji for thing in THINGS}) == len(THINGS)
    assert len(proportions()) == len(THINGS)


def test_no_word_means_two_things() -> None:
    words = [word for thing in THINGS for word in {thing.name, *thing.synonyms}]
    assert len(words) == len(set(words))


def test_the_training_never_shows_what_is_held_out(scenes: list[Scene]) -> None:
    assert not any(scene.is_held_out for scene in scenes)
    random = Random(2)
    assert all(draw_held_out_scene(random).pairing_is_held_out for _ in range(200))


def test_about_a_twelfth_of_the_pairs_is_held_out() -> None:
    pairs = [(one.name, other.name) for one in THINGS for other in THINGS if one.name < other.name]
    share = sum(pair_is_held_out(*pair) for pair in pairs) / len(pairs)
    assert 0.07 < share < 0.1
    assert all(pair_is_held_out(one, other) == pair_is_held_out(other, one) for one, other in pairs[:500])


def test_every_relation_and_count_occurs(scenes: list[Scene]) -> None:
    assert {scene.relation for scene in scenes} == {None, *RELATIONS}
    assert {subject.count for scene in scenes for subject in scene.subjects} == {1, 2, 3}


def test_things_are_inside_the_picture_and_where_their_relation_says(scenes: list[Scene]) -> None:
    for scene in scenes:
        for box in scene.boxes:
            assert box.x - box.width / 2 > -6 and box.x + box.width / 2 < scene.width + 6, scene
            assert box.y - box.height / 2 > -6 and box.y + box.height / 2 < scene.height + 6, scene
        if scene.seen_relation in ("on", "above"):
            lower, upper = scene.boxes
            assert upper.y < lower.y
        if scene.seen_relation == "left of":
            right, left = scene.boxes
            assert left.x + left.width / 2 < right.x - right.width / 2 + 6


def test_under_a_tree_is_at_its_foot_and_under_a_car_is_below_it() -> None:
    random = Random(3)
    seen = set()
    for _ in range(20000):
        scene = draw_scene(random)
        if scene.relation != "under":
            continue
        other, one = scene.boxes
        if scene.subjects[1].thing == INDEX["tree"]:
            assert other.y - other.height / 2 < one.y < other.y + other.height / 2
            seen.add("tree")
        if scene.subjects[1].thing == INDEX["car"]:
            assert one.y - one.height / 2 > other.y + other.height / 2
            seen.add("car")
    assert seen == {"tree", "car"}
