"""What a scene shows, as numbers: what the classifier learns and what an image is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from demo_model.world.backdrops import PLACES
from demo_model.world.colours import COLOURS
from demo_model.world.render import Columns
from demo_model.world.scene import Scene

# What the eye can tell apart; `next to` is left or right.
SEEN_RELATIONS = ("on", "above", "under", "in front of", "left of", "right of")
OWN_COLOUR = len(COLOURS)
UNSAID = -1


def label(scenes: Sequence[Scene]) -> Columns:
    """One row per scene, all int64; `UNSAID` where there is nothing to say.

    `things` and `colours` have a column for the first and the second subject, `colours` with `OWN_COLOUR` for a thing
    that is not painted; `count` is that of the first subject; `relation` indexes `SEEN_RELATIONS`; `backdrop` is a
    plain background's colour, `place` and `time` what there is to see otherwise.
    """
    rows = [_row(scene) for scene in scenes]
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def _row(scene: Scene) -> dict[str, list[int] | int]:
    things, colours = [UNSAID, UNSAID], [UNSAID, UNSAID]
    for place, subject in enumerate(scene.subjects):
        things[place] = subject.thing
        colours[place] = OWN_COLOUR if subject.colour is None else subject.colour
    backdrop = scene.backdrop
    return {
        "things": things,
        "colours": colours,
        "count": scene.subjects[0].count if scene.subjects else UNSAID,
        "relation": SEEN_RELATIONS.index(scene.seen_relation) if scene.seen_relation else UNSAID,
        "backdrop": UNSAID if backdrop.colour is None else backdrop.colour,
        "place": backdrop.place if PLACES[backdrop.place] != "nowhere" else UNSAID,
        "time": backdrop.time if backdrop.time_is_stated else UNSAID,
    }
