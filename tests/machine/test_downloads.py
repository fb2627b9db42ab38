"""Weights and environment from a server that speaks as the real ones do, and sometimes as they do on bad days."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.site import manners
from tests.machine.site.bundles import MODEL, in_pieces, weights_pinned
from tests.machine.site.environment_server import ENVIRONMENT, environment_server
from tests.machine.site.instance import BOOT_LOG, Instance
from tests.machine.site.launch import URL, Launch
from tests.machine.site.outcomes import assert_done, assert_failed
from tests.machine.site.site import Site
from tests.machine.site.waiting import wait_for
from userdata.contract.catalogue import find_model

WEIGHTS = random.Random(7).randbytes(3_000_000)
PIECE = 500_000


@contextmanager
def launched_for_weights(
    site: Site,
    manner: manners.Manner,
    spoil: Callable[[BootedMachine], None] = lambda machine: None,
    changed: dict[str, str] | None = None,
) -> Iterator[tuple[Instance, Launch]]:
    model = find_model(MODEL)
    (file,) = model.files
    launch = Launch(site, {urlsplit(model.url(file)).path: WEIGHTS}, {**weights_pinned(WEIGHTS), **(changed or {})})
    # The server has the weights alone.
    given = {"Model": MODEL, "SafetyChecker": "off"}
    with launch(given, {"SD_WEIGHTS_URL": URL}, manner, spoil) as instance:
        yield instance, launch


@pytest.mark.parametrize(
    "manner",
    [
        pytest.param(manners.breaks_twice(), id="the connection breaks twice"),
        pytest.param(manners.busy_twice(), id="the server is busy twice"),
    ],
)
def test_weights_arrive_whole_all_the_same(site: Site, manner: manners.Manner) -> None:
    with launched_for_weights(site, manner) as (instance, launch):
        instance.wait_for_line("weights done")
        assert_arrived(instance)
        assert len(launch.hub.ranges) == 3


def test_a_power_cut_loses_no_range_that_has_come(site: Site) -> None:
    stalls = manners.StallsOnce()
    with launched_for_weights(site, stalls, changed=in_pieces(of=PIECE)) as (instance, launch):
        come = len(WEIGHTS) // PIECE - 1
        notes = f"/opt/sd-on-ec2/models/{MODEL}/{find_model(MODEL).files[0].path}.part.pieces"
        wait_for(lambda: instance.machine.read(notes).count("\n") == 1 + come, "all ranges but one")
        instance.cut_power()
        instance.start()
        # What has arrived is no model.
        assert_failed(instance, step="model", message="is no checkpoint that can be used")
        assert_arrived(instance)
        *asked, again = launch.hub.ranges
        assert len(set(asked)) == len(asked) == 1 + come
        assert again == stalls.span


@pytest.mark.parametrize(
    ("manner", "message"),
    [
        pytest.param(manners.login_page, "login page", id="a login page"),
        pytest.param(manners.refuses, "behind an agreement or a login", id="a licence that was not accepted"),
        pytest.param(manners.cut_off, "2,999,000 bytes, but 3,000,000 are pinned", id="cut off, said to be whole"),
        pytest.param(manners.other_bytes, "is pinned, twice", id="the wrong checksum"),
    ],
)
def test_wrong_weights_are_told_and_never_used(site: Site, manner: manners.Manner, message: str) -> None:
    with launched_for_weights(site, manner) as (instance, _):
        assert_failed(instance, step="weights", message=message)
        assert not list(instance.machine.disk.inside("/opt/sd-on-ec2/models").rglob("*.safetensors"))


def test_the_environment_is_built_once_also_over_a_power_cut(site: Site) -> None:
    launch = Launch(site, *environment_server())
    with launch({"Cache": "off"}, ENVIRONMENT, manners.well) as instance:
        instance.wait_for_line("environment ...")
        instance.cut_power()
        instance.start()
        assert_done(instance)
        # By uv, with what the image tells pip of its mirror.
        assert "+ sd-probe==1.0" in instance.machine.read(BOOT_LOG)
        assert "pip is asked" not in instance.machine.read(BOOT_LOG)
        asked = len(launch.hub.ranges)
        instance.update(Prompt="A tree in forest")
        instance.start()
        assert_done(instance)
        assert len(launch.hub.ranges) == asked
        assert "the environment ldm is already there" in instance.machine.read(BOOT_LOG)
        assert instance.objects("cache/") == {}  # it is off


def test_a_disk_without_room_for_the_weights(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        machine.disk.limit("/opt/sd-on-ec2/models", megabytes=2)

    with launched_for_weights(site, manners.well, spoil) as (instance, launch):
        error = assert_failed(instance, step="weights", message="free, but")
        assert "larger VolumeSize" in error["message"]
        assert launch.hub.ranges == []


def assert_arrived(instance: Instance) -> None:
    """The weights are on the disk, byte for byte."""
    (file,) = instance.machine.disk.inside(f"/opt/sd-on-ec2/models/{MODEL}").glob("*.safetensors")
    assert file.read_bytes() == WEIGHTS
