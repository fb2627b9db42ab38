"""The second machine has a short first boot: what the first one has built comes from the bucket."""

from __future__ import annotations

import hashlib
import io
import json
import sysconfig
import tarfile
from pathlib import Path

from tests.machine.site import manners
from tests.machine.site.environment_server import ENVIRONMENT, environment_server
from tests.machine.site.instance import Instance
from tests.machine.site.launch import Launch
from tests.machine.site.outcomes import assert_done
from tests.machine.site.site import Site
from userdata.contract.layout import Folders


def test_the_next_machine_takes_the_environment_from_the_bucket(site: Site) -> None:
    launch = Launch(site, *environment_server())
    with launch({}, ENVIRONMENT, manners.well) as first:
        assert_done(first)
        assert launch.hub.ranges
        assert not environment_from_cache(first)
        manifest, *parts = kept(first)
        assert parts
        # Not root packed what the worker may have written.
        state = Path("/var/lib/private", Folders("/").cache_kept.parent.name)
        assert first.machine.disk.inside(str(state / "kept.json")).stat().st_uid != 0

        hostile = with_code_of_its_own(first, manifest)
        with launch.in_place_of(first, ENVIRONMENT) as second:
            assert_drawn_before(second)
            assert environment_from_cache(second)
            assert ran_it(second) and 0 not in ran_it(second)
            assert launch.hub.ranges == []
            assert set(kept(second)) > {manifest, *parts}

            for part in (key for key in kept(second) if key.startswith(hostile) and key.endswith(".gz")):
                second.s3.delete_object(Bucket=second.bucket, Key=part)  # or the bucket would not take it
                second.put(part, b"damaged")
            before = {key: entry["ETag"] for key, entry in second.objects("cache/").items()}
            with launch.in_place_of(second, ENVIRONMENT) as third:
                assert_drawn_before(third)
                assert not environment_from_cache(third)
                assert launch.hub.ranges
                after = third.objects("cache/")
                assert before.items() < {key: entry["ETag"] for key, entry in after.items()}.items()
                (another,) = (key for key in after.keys() - before.keys() if key.endswith("manifest.json"))
                assert_whole(third, another)


def assert_drawn_before(instance: Instance) -> None:
    """The run is done, by a machine before this one; this one has booted and powered off."""
    instance.wait_for_state("stopped")
    assert [boot["error"] for boot in instance.boots()] == [None]


def assert_whole(instance: Instance, manifest: str) -> None:
    """Every part of a cached folder is what the manifest says."""
    folder = manifest.rpartition("/")[0]
    for part in json.loads(instance.read(manifest))["parts"]:
        content = instance.read_bytes(f"{folder}/{part['sha256']}.tar.gz")
        assert hashlib.sha256(content).hexdigest() == part["sha256"]


def with_code_of_its_own(instance: Instance, manifest: str) -> str:
    """Adds a version of the environment with code that each interpreter of it runs, as whoever may write there can.

    Returns the version's folder.
    """
    code = b"import os, pathlib; pathlib.Path(f'/var/tmp/ran-by-{os.getuid()}').touch()\n"
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        member = tarfile.TarInfo(f"lib/python{sysconfig.get_python_version()}/site-packages/evil.pth")
        member.size = len(code)
        archive.addfile(member, io.BytesIO(code))
    part = {"sha256": hashlib.sha256(made.getvalue()).hexdigest(), "bytes": len(made.getvalue())}
    folder, _, name = manifest.rpartition("/")
    version = f"{folder}/hostile"
    instance.put(f"{version}/{part['sha256']}.tar.gz", made.getvalue())
    document = json.loads(instance.read(manifest))
    for other in document["parts"]:
        instance.put(f"{version}/{other['sha256']}.tar.gz", instance.read_bytes(f"{folder}/{other['sha256']}.tar.gz"))
    document["parts"].append(part)
    instance.put(f"{version}/{name}", json.dumps(document).encode())
    return version


def ran_it(instance: Instance) -> set[int]:
    """The users that ran that code; the worker's own folder for such files is not looked into."""
    folder = instance.machine.disk.inside("/var/tmp")
    return {int(file.name.rpartition("-")[2]) for file in folder.glob("ran-by-*")}


def environment_from_cache(instance: Instance) -> bool:
    """Whether the instance's only boot took its environment from the cache."""
    (boot,) = instance.boots()
    (phase,) = [phase for phase in boot["phases"] if phase["phase"] == "environment"]
    return bool(phase.get("from") == "cache")


def kept(instance: Instance) -> list[str]:
    """The keys of the cache, the manifest first."""
    return sorted(instance.objects("cache/"), key=lambda key: (not key.endswith("/manifest.json"), key))
