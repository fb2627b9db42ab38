"""docs/demo-model.md must not drift from the code and the figures that it shows."""

import pytest

from demo_model.publishing.page import PAGE, filled
from demo_model.world.things import THINGS
from demo_model.world.vocabulary import vocabulary


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text("utf-8")
    assert filled(page) == page, (
        "python -m demo_model.publishing.page writes the parts that follow from code and figures"
    )


def test_a_page_without_a_place_for_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for vocabulary"):
        filled("# The model in the box\n")


def test_every_thing_and_wording_is_listed_as_a_person_writes_it() -> None:
    text = vocabulary()
    assert f"**{len(THINGS)} things**" in text
    assert len(THINGS) >= 150
    assert all(thing.name in text for thing in THINGS)
    assert "| under | A under B, A standing under B," in text
    assert "{" not in text
