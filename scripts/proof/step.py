"""What a step of the proof is: what is typed, what is waited for, and what is expected to be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from scripts.command_line.cost.estimate import Preparation
from scripts.proof.place import Place
from scripts.proof.seen import Seen

# What a step waits for: the end of the deployed run, and then the instance's own end or nothing more; or that no
# instance is billed any more, those of the fleet included.
Until = Literal["run over and instance off", "run over", "instance off", "nothing billed"]
DEPLOY = ("cdk", "deploy")


@dataclass(frozen=True)
class Expected:
    """One row: what is looked at, and what the docs say of it. None is expected where nobody knows.

    `only_aws` marks what the local cloud does not emulate. `note` is shown beside what nobody knows.
    """

    what: str
    seen: Callable[[Seen], str]
    expected: str | None = None
    note: str = "not known"
    only_aws: bool = False


@dataclass(frozen=True)
class Step:
    """One step: the command that a person types, with the place's words in braces, and the rows that follow from it.

    A deploy has its `parameters` and settings (`context`) apart. `prepares` is how its instance gets ready, for the
    estimate; `checked` asks `sd doctor` beforehand; `needs` names steps without which this one proves nothing.
    """

    name: str
    does: str
    rows: tuple[Expected, ...]
    command: tuple[str, ...] = DEPLOY
    parameters: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    until: Until | None = "run over and instance off"
    prepares: Preparation | None = "disk"
    checked: bool = False
    needs: tuple[str, ...] = ()

    @property
    def is_deploy(self) -> bool:
        """Whether it is `cdk deploy`, with parameters and settings."""
        return self.command == DEPLOY

    @property
    def is_first(self) -> bool:
        """Whether it makes the stack that the others change."""
        return self.prepares == "install"

    def settings(self, place: Place) -> list[str]:
        """The settings of its deploy, as they are typed. Raises `KeyError` for a word that the place does not have."""
        context = {**place.context, **filled(self.context, place.words())}
        return [word for name, value in context.items() for word in ("-c", f"{name}={value}")]

    def type_of(self, place: Place) -> str:
        """The type that it deploys, or else the place's first. Raises `KeyError`, as `settings` does."""
        return filled(self.parameters, place.words()).get("InstanceType", place.type)

    def typed(self, place: Place, **more: str) -> list[str]:
        """The command as a person types it; `more` are words beside the place's. Raises `KeyError`, as `settings`."""
        words = {**place.words(), **more}
        command = [word.format_map(words) for word in self.command]
        if not self.is_deploy:
            return command
        given = filled(self.parameters, words)
        parameters = [word for name, value in given.items() for word in ("--parameters", f"{name}={value}")]
        return [*command, *self.settings(place), *parameters]


def filled(texts: Mapping[str, str], words: Mapping[str, str]) -> dict[str, str]:
    """The texts with the place's words. Raises `KeyError` for a word that the place does not have."""
    return {name: text.format_map(words) for name, text in texts.items()}
