from demo_model.world.things import THINGS
from demo_model.world.vocabulary import vocabulary


def test_every_thing_and_wording_is_listed_as_a_person_writes_it() -> None:
    text = vocabulary()
    assert f"**{len(THINGS)} things**" in text
    assert len(THINGS) >= 150
    assert all(thing.name in text for thing in THINGS)
    assert "| under | A under B, A standing under B," in text
    assert "{" not in text
