"""The role has the rights that its code uses, and no others."""

from __future__ import annotations

import fnmatch
import io
from typing import Any

from PIL import Image

from tests.machine import manners
from tests.machine.environment_server import ENVIRONMENT, environment_server
from tests.machine.instance import Instance
from tests.machine.launch import Launch
from tests.machine.outcomes import assert_done
from tests.machine.site import Site


def test_every_right_is_used_and_none_is_missing(site: Site) -> None:
    files, pinned = environment_server()
    launch = Launch(site, files, {})
    given = {"InitImage": "inputs/start.png"}
    with site.bundle_with(pinned), launch(given, ENVIRONMENT, manners.well) as instance:
        instance.wait_for_state("stopped")  # the initial image is not there yet
        instance.put("inputs/start.png", _picture())
        instance.start()
        assert_done(instance)
        granted, used = _rights(site, instance)
    assert used == granted, f"never used: take it from stacks/worker_role.py: {granted - used}"


def _rights(site: Site, instance: Instance) -> tuple[set[tuple[str, str, int]], set[tuple[str, str, int]]]:
    """What the role of an instance may do, and what it has done: statement, action, number of the resource."""
    role, statements = site.role_of(instance)
    asked = site.rights.of(role)
    rights = {
        (statement["Sid"], action, number): resource
        for statement in statements
        for action in _listed(statement["Action"])
        for number, resource in enumerate(_listed(statement["Resource"]))
    }
    used = {
        right
        for right, resource in rights.items()
        if any(action == right[1] and fnmatch.fnmatchcase(of, resource) for action, of in asked)
    }
    return set(rights), used


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(file, format="PNG")
    return file.getvalue()
