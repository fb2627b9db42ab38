"""The words that the model knows, as tables for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from demo_model.world.caption import NUMBERS, PLACE_WORDS, RELATION_WORDS, TIME_WORDS
from demo_model.world.colours import COLOURS
from demo_model.world.things import THINGS


def vocabulary() -> str:
    """Things, relations, colours, numbers, places and times with their other wordings, in Markdown."""
    things = ", ".join(_with_others(thing.name, thing.synonyms) for thing in THINGS)
    return "\n\n".join(
        [
            f"**{len(THINGS)} things**, with other words for them in brackets: {things}.",
            _table("relation of two things", RELATION_WORDS.items()),
            _table("colour of a thing or of the background", ((one.name, one.synonyms) for one in COLOURS)),
            _table("number", ((str(number), dict.fromkeys(words)) for number, words in NUMBERS.items())),
            _table("place", PLACE_WORDS.items()),
            _table("time", TIME_WORDS.items()),
        ]
    )


def _with_others(name: str, others: Sequence[str]) -> str:
    return f"{name} ({', '.join(others)})" if others else name


def _table(title: str, rows: Iterable[tuple[str, Iterable[str]]]) -> str:
    lines = [f"| {name} | {', '.join(_plain(word) for word in words) or 'no other'} |" for name, words in rows]
    return "\n".join([f"| {title} | wordings |", "| --- | --- |", *lines])


def _plain(pattern: str) -> str:
    return pattern.replace("{0}", "A").replace("{1}", "B").replace("{verb}", "standing")
