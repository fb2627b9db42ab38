"""What has to stand before the first press can be sent: how far it is, and what was pressed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.command_line.terminal.command_error import CommandError

STEPS = (
    "the emulated account starts",
    "what is to be deployed is checked",
    "the template is made, once for each version of the project",
    "the stack is created, and its machine begins",
)


class NotYetError(CommandError):
    """What is asked for comes with the stack, which is being made."""


@dataclass
class Kept:
    """A press that waits for the stack. `send` sends it and gives its place on the page; it raises `CommandError`."""

    number: int
    prompt: str
    send: Callable[[], str]
    sent: str = ""
    refused: str = ""


@dataclass
class Preparation:
    """The local cloud on its way. One thread prepares it; those that answer the page look, and keep presses."""

    model: str
    done: int = 0
    trouble: str = ""
    kept: list[Kept] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        """How many steps there are."""
        return len(STEPS)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come: it stands, or has failed."""
        return bool(self.trouble) or self.done >= self.total

    @property
    def doing(self) -> str:
        """The step that is being done."""
        return STEPS[min(self.done, self.total - 1)]

    def refuse_what_is_not_there(self) -> None:
        """Raises `NotYetError` until the stack stands, and `CommandError` when it never will."""
        if self.trouble:
            raise CommandError(self.trouble)
        if not self.is_over:
            raise NotYetError(f"The local cloud is not there yet: {self.doing}. Try again in some seconds.")

    @property
    def not_sent(self) -> list[Kept]:
        """What waits, and what was refused; the latest first, as on the page."""
        return [one for one in reversed(self.kept) if not one.sent]

    def keep(self, prompt: str, send: Callable[[], str]) -> Kept | None:
        """Keeps a press until the stack stands. Gives None when it need not wait."""
        with self._lock:
            if self.is_over:
                return None
            self.kept.append(Kept(len(self.kept), prompt, send))
            return self.kept[-1]

    def end(self, trouble: str = "") -> None:
        """It stands, or `trouble` says why it does not. Sends what was kept, in its order."""
        with self._lock:
            self.trouble, self.done = trouble, self.total
        for one in self.kept:
            try:
                one.sent = one.send()
            except CommandError as error:
                one.refused = str(error)
            except Exception as error:  # noqa: BLE001  # else this press and all behind it would wait for ever
                one.refused = f"The studio has an error of its own ({type(error).__name__})."
