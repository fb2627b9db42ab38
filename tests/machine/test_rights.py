"""The role has the rights that its code uses, and no others."""

from __future__ import annotations

import fnmatch
import io
from typing import Any

from PIL import Image

from tests.machine import manners
from tests.machine.environment_server import ENVIRONMENT, environment_server
from tests.machine.launch import Launch
from tests.machine.outcomes import assert_done
from tests.machine.site import Site


def test_every_right_is_used_and_none_is_missing(site: Site) -> None:
    first = {"InitImage": "inputs/start.png", "OnFailure": "stop"}
    with Launch(site, *environment_server())(first, ENVIRONMENT, manners.well) as instance:
        instance.wait_for_state("stopped")  # the initial image is not there yet
        instance.put("inputs/start.png", _picture())
        instance.start()
        assert_done(instance)

        role, statements = site.role_of(instance)
        used = site.rights.of(role)
        for statement in statements:
            for action in _listed(statement["Action"]):
                for resource in _listed(statement["Resource"]):
                    assert any((asked, True) == (action, fnmatch.fnmatchcase(of, resource)) for asked, of in used), (
                        f"{action} on {resource} is never used: take it from stacks/worker_role.py"
                    )


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(file, format="PNG")
    return file.getvalue()
