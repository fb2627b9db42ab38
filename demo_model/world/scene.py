"""A scene: what is in it and where, drawn by lot."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from demo_model.world.arrangements import RELATIONS, Box, arrange, arrangement, box
from demo_model.world.backdrops import PLACES, SKYLESS, TIMES
from demo_model.world.colours import COLOURS
from demo_model.world.held_out import arrangement_is_held_out, colouring_is_held_out, pair_is_held_out
from demo_model.world.things import INDEX, THINGS

TIME_INDEX = {time.name: number for number, time in enumerate(TIMES)}
PLACE_INDEX = {place: number for number, place in enumerate(PLACES)}
# What is up in the sky when it is alone.
SKY_THINGS = frozenset(
    INDEX[name]
    for name in ("sun", "moon", "star", "cloud", "rainbow", "lightning", "airplane", "helicopter", "ufo", "balloon")
)


@dataclass(frozen=True)
class Subject:
    """A thing of the scene, the colour that it is painted in, or None for its own, and how many of it there are."""

    thing: int
    colour: int | None = None
    count: int = 1


@dataclass(frozen=True)
class Backdrop:
    """What is behind: a plain colour, or a place at a time. What is `stated` is in the caption."""

    colour: int | None
    place: int
    time: int
    place_is_stated: bool
    time_is_stated: bool


@dataclass(frozen=True)
class Scene:
    """A picture to be, `width` × `height` pixels: up to two subjects, their relation, their boxes back to front.

    `relation` is one of `RELATIONS` and holds between the first and the second subject. `painted` has the colour of
    each box.
    """

    width: int
    height: int
    subjects: tuple[Subject, ...]
    relation: str | None
    backdrop: Backdrop
    boxes: tuple[Box, ...]
    painted: tuple[int | None, ...]

    @property
    def is_held_out(self) -> bool:
        """Whether the two things, or their arrangement, or a thing's colour never occur in the training."""
        coloured = any(
            subject.colour is not None
            and colouring_is_held_out(THINGS[subject.thing].name, COLOURS[subject.colour].name)
            for subject in self.subjects
        )
        return coloured or self.pairing_is_held_out

    @property
    def seen_relation(self) -> str | None:
        """The relation, with `next to` turned into the side that it was drawn on."""
        if self.relation != "next to":
            return self.relation
        # The first subject's box is the last one.
        return "left of" if self.boxes[-1].x < self.boxes[0].x else "right of"

    @property
    def pairing_is_held_out(self) -> bool:
        """Whether the two things, or their arrangement, never occur in the training."""
        if len(self.subjects) < 2 or self.relation is None:
            return False
        one, other = (subject.thing for subject in self.subjects)
        assert self.seen_relation is not None
        name, first, second = arrangement(self.seen_relation, one, other)
        names = THINGS[first].name, THINGS[second].name
        return pair_is_held_out(*names) or arrangement_is_held_out(name, *names)


def draw_scene(random: Random, width: int = 128, height: int = 128) -> Scene:
    """A scene of the training, by lot; nothing in it is held out."""
    while True:
        scene = _draw(random, width, height)
        if not scene.is_held_out:
            return scene


def draw_any_scene(random: Random, width: int = 128, height: int = 128) -> Scene:
    """A scene by lot, held out or not."""
    return _draw(random, width, height)


def draw_held_out_scene(random: Random, width: int = 128, height: int = 128) -> Scene:
    """A scene of two things whose pair or arrangement never occurs in the training."""
    while True:
        scene = _draw(random, width, height, pairs_only=True)
        if scene.pairing_is_held_out:
            return scene


def _draw(random: Random, width: int, height: int, *, pairs_only: bool = False) -> Scene:
    backdrop = _draw_backdrop(random)
    lot = 0.5 if pairs_only else random.random()
    if lot < 0.03:
        return Scene(width, height, (), None, backdrop, (), ())
    if lot < 0.30:
        subject = Subject(random.randrange(len(THINGS)), _draw_colour(random, 0.4))
        boxes: tuple[Box, ...] = (_alone(subject.thing, random, width, height),)
        return Scene(width, height, (subject,), None, backdrop, boxes, (subject.colour,))
    if lot < 0.42:
        subject = Subject(random.randrange(len(THINGS)), _draw_colour(random, 0.3), random.choice((2, 3)))
        boxes = _in_a_row(subject, random, width, height)
        return Scene(width, height, (subject,), None, backdrop, boxes, (subject.colour,) * subject.count)
    return _draw_pair(random, width, height, backdrop)


def _draw_pair(random: Random, width: int, height: int, backdrop: Backdrop) -> Scene:
    one, other = random.sample(range(len(THINGS)), 2)
    relation = random.choice(RELATIONS)
    shelters = [number for number, thing in enumerate(THINGS) if thing.shelters and number != one]
    if relation == "under" and random.random() < 0.5:
        other = random.choice(shelters)
    seen = random.choice(("left of", "right of")) if relation == "next to" else relation
    name, first, second = arrangement(seen, one, other)
    places = arrange(name, first, second, random, width, height)
    upper, lower = places if first == one else (places[1], places[0])
    subjects = Subject(one, _draw_colour(random, 0.3)), Subject(other, _draw_colour(random, 0.3))
    # The first of an arrangement is nearer to the eye, except where neither hides the other.
    boxes, painted = (lower, upper), (subjects[1].colour, subjects[0].colour)
    return Scene(width, height, subjects, relation, backdrop, boxes, painted)


def _draw_colour(random: Random, share: float) -> int | None:
    return random.randrange(len(COLOURS)) if random.random() < share else None


def _draw_backdrop(random: Random) -> Backdrop:
    lot = random.random()
    day, meadow = TIME_INDEX["day"], PLACE_INDEX["meadow"]
    if lot < 0.34:
        if random.random() < 0.65:
            return Backdrop(None, meadow, day, False, False)
        return Backdrop(None, PLACE_INDEX["nowhere"], day, False, False)
    if lot < 0.54:
        return Backdrop(random.randrange(len(COLOURS)), PLACE_INDEX["nowhere"], day, False, False)
    place = random.randrange(1, len(PLACES))
    if lot < 0.76 or PLACES[place] in SKYLESS:
        return Backdrop(None, place, day, True, False)
    time = random.randrange(len(TIMES))
    if lot < 0.88:
        return Backdrop(None, meadow, time, False, True)
    return Backdrop(None, place, time, True, True)


def _alone(thing: int, random: Random, width: int, height: int) -> Box:
    size = random.uniform(64, 84)
    x = width / 2 + random.uniform(-10, 10)
    if thing in SKY_THINGS:
        return box(thing, size, x=x, bottom=0.72 * height + random.uniform(-8, 4), tallest=84)
    return box(thing, size, x=x, bottom=0.88 * height + random.uniform(-6, 4), tallest=84)


def _in_a_row(subject: Subject, random: Random, width: int, height: int) -> tuple[Box, ...]:
    size, apart = (random.uniform(48, 55), 60.0) if subject.count == 2 else (random.uniform(36, 39), 41.0)
    start = width / 2 - apart * (subject.count - 1) / 2 + random.uniform(-2, 2)
    ground = 0.82 * height + random.uniform(-8, 6)
    return tuple(
        box(subject.thing, size, x=start + apart * place, bottom=ground + random.uniform(-3, 3))
        for place in range(subject.count)
    )
