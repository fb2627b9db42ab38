"""From `cdk deploy` to the pictures, on a machine that really boots."""

from __future__ import annotations

import io
import json

from PIL import Image

from tests.machine.booted.gateway import Request
from tests.machine.site.instance import BOOT_LOG, WORKER_LOG, Instance
from tests.machine.site.outcomes import assert_done
from tests.machine.site.site import QUICK, Site
from tests.machine.site.waiting import wait_for
from userdata.contract.layout import Folders
from userdata.job.job import Job

# The model, with what is its own.
BOX = {"Model": "demo", "Height": "", "Width": "", "Steps": ""}
PHASES = ["boot", "driver", "environment", "weights", "worker"]


def test_every_deployed_prompt_is_drawn_by_the_same_machine(site: Site) -> None:
    with site.deployed(QUICK) as instance:
        first = instance.run_id
        assert_done(instance)
        assert [phase["phase"] for phase in instance.boots()[0]["phases"]] == PHASES
        assert tokenless(instance.machine.to_metadata.requests) == []
        assert_fetched_by_another_than_root(instance)

        site.cdk_deploy(Prompt="A tree in forest")
        queued = instance.send(Job(model="tiny", H=64, W=64, ddim_steps=2, n_iter=1, n_samples=1, seed=7))
        instance.start()  # as `sd start`: CloudFormation is not documented to start a stopped instance

        assert_done(instance)
        assert_drawn_by_the_same_process(instance, queued)
        assert instance.run_id != first
        assert sorted(instance.images(first)) == sorted(instance.images())
        assert json.loads(instance.read(f"runs/{instance.run_id}/job.json"))["prompt"] == "A tree in forest"
        assert "models/tiny is already there" in instance.machine.read(BOOT_LOG)

        before = instance.objects("runs/")
        instance.start()  # with nothing to do
        instance.wait_for_state("stopped")
        assert instance.objects("runs/") == before
        assert [boot["error"] for boot in instance.boots()] == [None, None, None]


def test_a_reboot_goes_on_where_it_was_and_the_model_in_the_box_draws_the_prompt(site: Site) -> None:
    with site.launched({**BOX, "Prompt": "a dog on a red background", "Iterations": "3"}) as instance:
        instance.wait_for_line("1 of 3 images are drawn", file=WORKER_LOG)
        wait_for(instance.boots, "the record of the first boot")
        instance.reboot()
        assert_done(instance, images=3)
        assert len(instance.boots()) == 2
        for entry in instance.images().values():
            picture = Image.open(io.BytesIO(instance.read_bytes(entry["Key"])))
            assert picture.size == (128, 128)
            red, green, blue = picture.convert("RGB").getpixel((2, 2))  # type: ignore[misc]
            assert red > 2 * max(green, blue)


def assert_fetched_by_another_than_root(instance: Instance) -> None:
    folders = Folders("/")
    places = (folders.fetched, folders.models, folders.models / "tiny/model_index.json")
    fetcher, *owners = (instance.machine.disk.inside(str(place)).stat().st_uid for place in places)
    assert fetcher != 0
    assert set(owners) == {fetcher}


def assert_drawn_by_the_same_process(instance: Instance, queued: str) -> None:
    """The run that waited in the queue is done, without another load of the model, and nothing is left in the queue."""
    status = instance.status(queued)
    assert status is not None
    assert (status["phase"], status["images_done"], status["error"]) == ("done", 1, None)
    deployed, asked = (json.loads(instance.read(f"runs/{run}/report.json")) for run in (instance.run_id, queued))
    assert [phase["phase"] for phase in asked["phases"]] == ["model", "generating", "uploading"]
    (load,) = [phase["seconds"] for phase in deployed["phases"] if phase["phase"] == "model"]
    assert asked["phases"][0]["seconds"] < load / 5
    assert instance.messages() == 0


def tokenless(requests: list[Request]) -> list[str]:
    """What was asked of the metadata service without a session token, beside the token itself."""
    asking = [one for one in requests if one.method != "PUT"]
    return [one.path for one in asking if "x-aws-ec2-metadata-token" not in {name.lower() for name in one.headers}]
