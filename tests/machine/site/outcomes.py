"""The states in which an instance may end."""

from __future__ import annotations

from typing import Any

from tests.machine.site.instance import Instance


def assert_done(instance: Instance, *, images: int = 2) -> None:
    """Powered off, every image in the bucket exactly once, no error anywhere."""
    instance.wait_for_state("stopped")
    status = instance.status()
    assert status is not None
    assert (status["phase"], status["images_done"], status["error"]) == ("done", images, None)
    assert sorted(instance.images()) == [f"{index:05}.png" for index in range(images)]
    assert instance.boots()[-1]["error"] is None


def assert_failed(instance: Instance, *, step: str, message: str, state: str = "stopped") -> dict[str, Any]:
    """In `state`, the run's status failed in `step` with `message` and the log's last lines. The error comes back."""
    instance.wait_for_state(state)
    status = instance.status()
    assert status is not None
    assert status["phase"] == "failed"
    error: dict[str, Any] = status["error"]
    assert error["step"] == step, error["message"]
    assert message in error["message"]
    assert error["log_tail"].strip()
    return error
