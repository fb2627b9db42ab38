from __future__ import annotations

from random import Random

from demo_model.world.caption import describe, vocabulary
from demo_model.world.colours import COLOURS
from demo_model.world.scene import draw_scene
from demo_model.world.things import THINGS


def test_a_caption_names_every_thing_count_and_colour_of_its_scene() -> None:
    random = Random(4)
    for _ in range(2000):
        scene = draw_scene(random)
        caption = describe(scene, random)
        for subject in scene.subjects:
            thing = THINGS[subject.thing]
            words = (thing.plural,) if subject.count > 1 else (thing.name, *thing.synonyms)
            # An unknown word may have come between the two words of one name.
            assert any(word.split()[-1] in caption for word in words), caption
            if subject.colour is not None:
                colour = COLOURS[subject.colour]
                assert any(word in caption for word in (colour.name, *colour.synonyms)), caption


def test_the_wording_varies() -> None:
    scene = draw_scene(Random(5))
    random = Random(6)
    assert len({describe(scene, random) for _ in range(200)}) > 100


def test_the_vocabulary_is_lower_case_and_has_words_of_every_kind() -> None:
    words = set(vocabulary())
    assert {"horse", "standing", "under", "tree", "forest", "night", "two", "foxes", "background"} <= words
    assert all(word == word.lower() for word in words)
