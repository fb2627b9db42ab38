"""The states in which an instance may end."""

from __future__ import annotations

import re
from typing import Any

from tests.machine.booted.shared_python import ASKED_BY_ROOT
from tests.machine.site.instance import Instance


def assert_done(instance: Instance, *, images: int = 2) -> None:
    """Powered off, every image in the bucket exactly once, no error anywhere."""
    instance.wait_for_state("stopped")
    status = instance.status()
    assert status is not None
    assert (status["phase"], status["images_done"], status["error"]) == ("done", images, None)
    assert sorted(instance.images()) == [f"{index:05}.png" for index in range(images)]
    assert instance.boots()[-1]["error"] is None
    assert_root_read_nothing(instance)


def assert_root_read_nothing(instance: Instance) -> None:
    """Root has fetched the bundle, and has written; what others may have written has been read as another user."""
    asked = instance.machine.read(ASKED_BY_ROOT).splitlines()
    bundles = [words for words in asked if re.search(r" s3 cp --only-show-errors s3://\S+\.zip /", words)]
    written = [words for words in asked if " s3 cp --only-show-errors - s3://" in words]
    assert bundles and written
    assert set(asked) - {*bundles, *written, "--version"} == set()


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
