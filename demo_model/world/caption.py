"""Says in words what a scene shows, each time in other words."""

from __future__ import annotations

import string
from random import Random

from demo_model.world.backdrops import PLACES, TIMES
from demo_model.world.colours import COLOURS
from demo_model.world.scene import Backdrop, Scene, Subject
from demo_model.world.things import THINGS

# {0} is the first thing of the relation, {1} the second one.
RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "on": ("{0} on {1}", "{0} on top of {1}", "{0} {verb} on {1}", "{0} {verb} on top of {1}", "{0} is on {1}"),
    "above": ("{0} above {1}", "{0} over {1}", "{0} flying over {1}", "{0} floating above {1}", "{0} is above {1}"),
    "under": (
        "{0} under {1}",
        "{0} {verb} under {1}",
        "{0} below {1}",
        "{0} beneath {1}",
        "{0} {verb} underneath {1}",
        "{0} is under {1}",
    ),
    "in front of": (
        "{0} in front of {1}",
        "{0} {verb} in front of {1}",
        "{1} behind {0}",
        "{0} is in front of {1}",
        "{0} with {1} behind it",
    ),
    "left of": ("{0} left of {1}", "{0} to the left of {1}", "{0} on the left of {1}", "{0} is left of {1}"),
    "right of": ("{0} right of {1}", "{0} to the right of {1}", "{0} on the right of {1}", "{0} is right of {1}"),
    "next to": (
        "{0} next to {1}",
        "{0} {verb} next to {1}",
        "{0} beside {1}",
        "{0} near {1}",
        "{0} by {1}",
        "{0} and {1}",
        "{0} and {1} side by side",
        "{0} with {1}",
    ),
}
VERBS = ("standing", "sitting", "lying", "sleeping", "resting", "waiting", "hiding", "placed", "standing", "sitting")
PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "meadow": ("in a meadow", "on a meadow", "in a field", "on the grass", "in a park", "in the garden"),
    "forest": ("in a forest", "in the forest", "in forest", "in the woods", "in a wood"),
    "beach": ("on a beach", "on the beach", "at the beach", "on the shore", "at beach"),
    "desert": ("in a desert", "in the desert", "in desert", "on sand dunes"),
    "snow": ("in the snow", "in snow", "in winter", "on a snowy day", "in a snowy landscape"),
    "city": ("in a city", "in the city", "in a town", "in the street", "downtown"),
    "sea": ("in the sea", "at sea", "on the ocean", "in the ocean", "on the water"),
    "mountains": ("in the mountains", "in mountains", "in the alps", "with mountains in the background"),
    "space": ("in space", "in outer space", "in the universe", "among the stars"),
    "room": ("in a room", "in the room", "indoors", "in the house", "inside", "at home", "in the kitchen"),
    "underwater": ("underwater", "under water", "under the sea", "deep in the ocean", "at the bottom of the sea"),
}
TIME_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("by day", "in the daytime", "on a sunny day", "at noon"),
    "night": ("at night", "by night", "in the night", "in the dark", "under the stars", "at midnight"),
    "sunset": ("at sunset", "in the evening", "at dusk", "during sunset"),
    "dawn": ("at dawn", "at sunrise", "in the morning", "early in the morning"),
    "rain": ("in the rain", "in rain", "on a rainy day", "when it rains"),
}
BACKDROP_COLOUR_WORDS = (
    "on a {} background",
    "on {} background",
    "against a {} background",
    "with a {} background",
    "in front of a {} wall",
)
# Words that change nothing in the picture, so that the model learns to pass over such words.
BEFORE = (
    "a picture of",
    "a photo of",
    "a photograph of",
    "a drawing of",
    "a painting of",
    "an illustration of",
    "an image of",
    "an emoji of",
    "a painting showing",
    "oil painting of",
    "there is",
    "i see",
    "a simple scene with",
    "a close up of",
    "draw",
    "show me",
)
AFTER = (
    "highly detailed",
    "digital art",
    "trending on artstation",
    "4k",
    "8k",
    "high quality",
    "masterpiece",
    "flat design",
    "cartoon style",
    "vector art",
    "oil on canvas",
    "by a famous artist",
    "beautiful",
    "studio lighting",
    "sharp focus",
    "emoji",
    "please",
    "watercolor",
    "concept art",
    "cinematic",
)
ADJECTIVES = (
    "cute",
    "beautiful",
    "little",
    "big",
    "small",
    "large",
    "happy",
    "old",
    "young",
    "nice",
    "lovely",
    "funny",
    "wild",
    "tall",
    "shiny",
    "huge",
    "tiny",
    "strange",
    "pretty",
    "fluffy",
    "proud",
)
NUMBERS = {2: ("two", "2", "a pair of", "two"), 3: ("three", "3", "three", "three")}
PLAIN_SCENE = ("scenery", "a landscape", "nothing", "an empty scene", "a view")


def describe(scene: Scene, random: Random) -> str:
    """A caption of the scene, in lower case, worded by lot."""
    words = _subjects(scene, random)
    settings = _settings(scene.backdrop, random)
    if random.random() < 0.4:
        words = f"{random.choice(BEFORE)} {words}"
    if settings and random.random() < 0.12:
        caption = f"{', '.join(settings)}, {words}"
    else:
        caption = (", " if random.random() < 0.15 else " ").join([words, *settings])
    if random.random() < 0.2:
        caption = ", ".join([caption, *random.sample(AFTER, random.randint(1, 3))])
    if random.random() < 0.06:
        caption = _with_an_unknown_word(caption, random)
    return caption


def _subjects(scene: Scene, random: Random) -> str:
    if not scene.subjects:
        return random.choice(PLAIN_SCENE)
    named = [_name(subject, random) for subject in scene.subjects]
    if scene.relation is None:
        lone_verb = scene.subjects[0].count == 1 and random.random() < 0.1
        return f"{named[0]} {random.choice(VERBS)}" if lone_verb else named[0]
    pattern = random.choice(RELATION_WORDS[scene.relation])
    return pattern.format(*named, verb=random.choice(VERBS))


def _name(subject: Subject, random: Random) -> str:
    thing = THINGS[subject.thing]
    adjectives = []
    if random.random() < 0.12:
        adjectives.append(random.choice(ADJECTIVES))
    if subject.colour is not None:
        colour = COLOURS[subject.colour]
        adjectives.append(random.choice((colour.name, colour.name, *colour.synonyms)))
    if subject.count > 1:
        return " ".join([random.choice(NUMBERS[subject.count]), *adjectives, thing.plural])
    word = thing.name if random.random() < 0.8 else random.choice((thing.name, *thing.synonyms))
    phrase = " ".join([*adjectives, word])
    lot = random.random()
    if lot < 0.74:
        return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
    if lot < 0.86:
        return f"the {phrase}"
    return f"one {phrase}" if lot < 0.9 else phrase


def _settings(backdrop: Backdrop, random: Random) -> list[str]:
    if backdrop.colour is not None:
        colour = COLOURS[backdrop.colour]
        word = random.choice((colour.name, colour.name, *colour.synonyms))
        return [random.choice(BACKDROP_COLOUR_WORDS).format(word)]
    settings = []
    if backdrop.place_is_stated:
        settings.append(random.choice(PLACE_WORDS[PLACES[backdrop.place]]))
    if backdrop.time_is_stated:
        settings.append(random.choice(TIME_WORDS[TIMES[backdrop.time].name]))
    return settings


def _with_an_unknown_word(caption: str, random: Random) -> str:
    words = caption.split(" ")
    unknown = "".join(random.choices(string.ascii_lowercase, k=random.randint(3, 9)))
    words.insert(random.randint(0, len(words)), unknown)
    return " ".join(words)


def vocabulary() -> list[str]:
    """Every word that a caption can hold, but for the unknown ones, sorted."""
    phrases: list[str] = [*BEFORE, *AFTER, *ADJECTIVES, *PLAIN_SCENE, *BACKDROP_COLOUR_WORDS, *VERBS, "a", "an", "the"]
    phrases += ["one", *(word for words in NUMBERS.values() for word in words)]
    for table in (RELATION_WORDS, PLACE_WORDS, TIME_WORDS):
        phrases += [phrase for choices in table.values() for phrase in choices]
    for thing in THINGS:
        phrases += [thing.name, thing.plural, *thing.synonyms]
    for colour in COLOURS:
        phrases += [colour.name, *colour.synonyms]
    words = {word for phrase in phrases for word in phrase.replace("{verb}", " ").replace("{}", " ").split()}
    return sorted(word for word in words if word.isalpha())
