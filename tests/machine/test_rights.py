"""The role has the rights that its code uses, and no others."""

from __future__ import annotations

import fnmatch
import io
from typing import Any

from PIL import Image

from tests.machine.site import manners
from tests.machine.site.bundles import small_weights
from tests.machine.site.environment_server import ENVIRONMENT, environment_server
from tests.machine.site.instance import Instance
from tests.machine.site.launch import URL, Launch
from tests.machine.site.outcomes import assert_done, assert_failed
from tests.machine.site.site import Site

TOKEN = "/sd-on-ec2/hub-token"
MODEL = "flux-schnell"  # which wants a token, a large card and a large disk
LORAS = tuple("abcd")  # as many as may be listed
# Session Manager's agent is not in the tests' machine, and no message is sent to it: tests/local_cloud/test_rights.py
# shows what the role may do with queues.
NOT_ASKED_HERE = ("SessionManager", "AskForWork", "ReleaseUnitsOfBatches", "SetAsideWhatCannotBeDrawn")
EMBEDDINGS = tuple("efgh")  # the same


def test_every_right_is_used_and_none_is_missing(site: Site) -> None:
    files, pinned = environment_server()
    launch = Launch(site, files, {})
    checkpoints = _checkpoints(site)
    asked = {
        "Model": MODEL,
        "InstanceType": "g6e.xlarge",
        "VolumeSize": "120",
        "HubToken": TOKEN,
        "InitImage": "inputs/start.png",
    }
    machine_env = {**ENVIRONMENT, "SD_WEIGHTS_URL": URL}
    bundle = site.bundle_with({**pinned, **small_weights(MODEL)})
    with bundle, launch(asked, machine_env, manners.well) as instance:
        assert_failed(instance, step="weights", message="is not there")  # the server has no such model
        granted, used = _rights(site, instance)

        loras = ",".join(f"s3://{checkpoints}/{name}.safetensors:0.5" for name in LORAS)
        embeddings = ",".join(f"s3://{checkpoints}/{name}.bin" for name in EMBEDDINGS)
        model, vae = (f"s3://{checkpoints}/{name}" for name in ("model.safetensors", "vae.pt"))
        instance.update(Model=model, Lora=loras, Vae=vae, Embeddings=embeddings)
        instance.start()
        instance.wait_for_state("stopped")  # neither is a model, and the initial image is not there yet
        of_models = _rights(site, instance)

        instance.update(Model="tiny", Lora="", Vae="", Embeddings="", HubToken="")
        instance.put("inputs/start.png", _picture())
        instance.start()
        assert_done(instance)
        of_images = _rights(site, instance)
    granted |= of_models[0] | of_images[0]
    used |= of_models[1] | of_images[1]
    assert used == granted, f"never used: take it from stacks/worker_role.py: {granted - used}"


def _checkpoints(site: Site) -> str:
    """A bucket with what somebody might name as a model and its companions, and the hub's token in Parameter Store."""
    bucket = "somebodys-checkpoints"
    s3 = site.cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    weights = [f"{name}.safetensors" for name in ("model", *LORAS)]
    for name in (*weights, "vae.pt", *(f"{name}.bin" for name in EMBEDDINGS)):
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
    site.cloud.client("ssm").put_parameter(Name=TOKEN, Value="hf_token", Type="SecureString")
    return bucket


def _rights(site: Site, instance: Instance) -> tuple[set[tuple[str, str, int]], set[tuple[str, str, int]]]:
    """What the role of an instance may do, and what it has done: statement, action, number of the resource."""
    role, statements = site.role_of(instance)
    asked = site.rights.of(role)
    rights = {
        (statement["Sid"], action, number): resource
        for statement in statements
        if statement["Sid"] not in NOT_ASKED_HERE
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
