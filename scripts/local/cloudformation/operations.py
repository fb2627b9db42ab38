"""Creates, updates and deletes stacks in the background, and rolls back what fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.cloudformation.models import Event

from scripts.local.aws.account import Account
from scripts.local.cloudformation.convergence import Convergence, Target
from scripts.local.cloudformation.stack_state import StackState

log = logging.getLogger(__name__)

# A request waits this long for its operation, so that a person who polls every few seconds waits less; one that
# takes longer goes on in the background, as with the real service.
PATIENCE = 20.0


@dataclass(frozen=True)
class Unfinished:
    """A creation or an update that failed: its work, and what the stack was before, None before its creation."""

    work: Convergence
    before: Target | None

    @property
    def rollback(self) -> str:
        """What the states of the way back begin with."""
        return "ROLLBACK" if self.before is None else "UPDATE_ROLLBACK"


def target_of(state: StackState) -> Target:
    """What a stack was last brought to."""
    return Target(state.template, state.parameters, state.tags)


def start_bringing(
    account: Account, stack: Any, kind: str, text: str, target: Target, *, roll_back: bool = True
) -> None:
    """Creates or updates a stack; `kind` is CREATE or UPDATE, `text` the template as it was given."""
    _begin(stack, f"{kind}_IN_PROGRESS")
    _in_background(_bring, account, stack, kind, text, target, roll_back)


def start_rolling_back(stack: Any, *, skipped: frozenset[str] = frozenset(), keeps: bool = True) -> None:
    """Rolls back what failed, or goes on with that. `keeps` says whether what was made with Retain stays."""
    unfinished = stack.unfinished
    _begin(stack, f"{unfinished.rollback}_IN_PROGRESS")
    _in_background(_roll_back, stack, skipped, ("Retain",) if keeps else ())


def start_deleting(account: Account, stack: Any, backend: Any, retained: frozenset[str]) -> None:
    """Deletes a stack of moto's `backend`, but for the `retained` resources."""
    _begin(stack, "DELETE_IN_PROGRESS")
    _in_background(_delete, account, stack, backend, retained)


def _begin(stack: Any, status: str) -> None:
    stack.status = status
    stack._add_stack_event(status, resource_status_reason="User Initiated")


def _in_background(work: Callable[..., None], *arguments: Any) -> None:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    thread.join(PATIENCE)


def _bring(account: Account, stack: Any, kind: str, text: str, target: Target, roll_back: bool) -> None:
    before = target_of(stack.resource_map)
    work = _work_on(account, stack)
    try:
        stack.output_map = work.run(target)
    except Exception:  # noqa: BLE001  # whatever went wrong, the stack is rolled back; its event says what
        stack.unfinished = Unfinished(work, None if kind == "CREATE" else before)
        if not roll_back:
            _finish(stack, f"{kind}_FAILED")
            return
        stack.status = f"{stack.unfinished.rollback}_IN_PROGRESS"
        stack._add_stack_event(stack.status, resource_status_reason="See the events before this one.")
        _roll_back(stack, frozenset(), ("Retain",))
        return
    stack.template, stack.template_dict, stack.parameters = text, target.template, target.parameters
    stack.description = target.template.get("Description")
    stack.tags = target.tags
    _finish(stack, f"{kind}_COMPLETE")


def _roll_back(stack: Any, skipped: frozenset[str], kept: tuple[str, ...]) -> None:
    work, before, status = stack.unfinished.work, stack.unfinished.before, stack.unfinished.rollback
    try:
        if before is None:
            work.delete_all(kept=kept)
        else:
            stack.output_map = work.undo(before, skipped=skipped)
    except Exception:
        log.info("The rollback of %s failed.", stack.name, exc_info=True)
        _finish(stack, f"{status}_FAILED")
        return
    _finish(stack, f"{status}_COMPLETE")


def _delete(account: Account, stack: Any, backend: Any, retained: frozenset[str]) -> None:
    try:
        _work_on(account, stack).delete_all(retained=retained)
    except Exception:
        log.info("The deletion of %s failed.", stack.name, exc_info=True)
        _finish(stack, "DELETE_FAILED")
        return
    # moto keeps them, and the next stack of this name would meet them: the CDK CLI gives all the same name.
    for change_set in [one for one in backend.change_sets.values() if one.stack_id == stack.stack_id]:
        del backend.change_sets[change_set.change_set_id]
    # In this order: it is found by its id all the time, and once it is called deleted, no longer by its name.
    backend.deleted_stacks[stack.stack_id] = stack
    backend.stacks.pop(stack.stack_id)
    _finish(stack, "DELETE_COMPLETE")


def _work_on(account: Account, stack: Any) -> Convergence:
    def report(logical_id: str, physical_id: str, kind: str, status: str, reason: str | None) -> None:
        stack.events.append(Event(stack.stack_id, stack.name, logical_id, physical_id, kind, status, reason, None))

    return Convergence(account, stack.name, stack.stack_id, stack.resource_map, report)


def _finish(stack: Any, status: str) -> None:
    # The event first: who sees the status may read the events next.
    stack._add_stack_event(status)
    stack.status = status
