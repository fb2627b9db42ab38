"""The product's main job: the real CDK CLI, the real stack, the real user data, the real worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.local_cloud.conftest import machines_hang
from tests.whole_way.conftest import QUICK, TEST_SECONDS, Person, run_id_of, wait_for
from userdata.contract.layout import Folders

pytestmark = [pytest.mark.local_cloud, pytest.mark.timeout(TEST_SECONDS)]

HOSTILE = (
    "a=b:c \"two\"  'one' $(touch /tmp/pwned) `id` ${HOME} \\n \\\\\nsecond line\n\ttab — é 🐎 ; rm -rf / #" + "x" * 900
)


def test_one_prompt_after_another(person: Person, tmp_path: Path) -> None:
    first = {**QUICK, "Prompt": HOSTILE[:1000]}
    person.deploy(**first)
    bucket, instance_id = person.output("ResultsBucket"), person.output("InstanceId")
    run_id = run_id_of(**first)

    person.wait_for_run(bucket, run_id)
    assert person.read(bucket, f"runs/{run_id}/job.json")["prompt"] == HOSTILE[:1000]
    assert not Path("/tmp/pwned").exists()
    assert len(person.images(bucket, run_id)) == 6
    assert {
        f"runs/{run_id}/{name}" for name in ("report.json", "log.txt", "index.html", "txt2img-samples/grid-0000.png")
    } <= set(person.objects(bucket))
    assert f"runs/{run_id}/gpu.csv" not in person.objects(bucket)
    person.wait_for_state("stopped")

    before = person.objects(bucket)
    assert "no changes" in person.deploy(**first)
    assert person.instance()["State"]["Name"] == "stopped"
    assert "Nothing to do" in person.sd("start")

    second = {**first, "Prompt": "A tree in forest"}
    person.deploy(Prompt="A tree in forest")
    assert person.output("InstanceId") == instance_id
    assert "Started" in person.sd("start")
    person.wait_for_run(bucket, run_id_of(**second))
    person.wait_for_state("stopped")
    images = {key: entry for key, entry in before.items() if key.endswith(".png")}
    assert {key: person.objects(bucket)[key]["ETag"] for key in images} == {k: e["ETag"] for k, e in images.items()}
    assert {key: person.objects(bucket)[key]["LastModified"] for key in images} == {
        key: entry["LastModified"] for key, entry in images.items()
    }

    # With a minute in which the next prompt may come: on a busy computer the command takes longer than the run.
    person.deploy(RunId="again", IdleMinutes="1")
    person.sd("start")
    again = run_id_of(**second, RunId="again")
    assert again != run_id_of(**second)
    # Asked for while the machine boots: the same boot draws it, from the model that the deployed run has loaded.
    small = ("--H", "64", "--W", "64", "--steps", "2", "--n_iter", "1", "--n_samples", "1", "--hold", "off")
    told = person.sd("generate", "A lake", *small, "--to", str(tmp_path / "generated")).splitlines()
    (drawn,) = (tmp_path / "generated").rglob("samples/*.png")
    assert f"1 image -> {drawn.parent}" in told
    assert Image.open(drawn).size == (64, 64)
    person.wait_for_run(bucket, again)
    wait_for(lambda: len(boots(person, bucket, instance_id)) == 3, "the record of the third boot")
    assert [boot["error"] for boot in boots(person, bucket, instance_id)] == [None, None, None]
    boot_log = Folders(str(person.cloud.machines[instance_id].disk)).boot_log
    assert boot_log.read_text("utf-8").count("models/tiny is already there") == 2

    lines = person.sd("results", again, "--to", str(tmp_path / "results")).splitlines()
    folder = tmp_path / f"results/{again}/txt2img-samples/samples"
    assert lines[-1] == f"6 images -> {folder}"
    downloaded = sorted(folder.glob("*.png"))
    assert [path.name for path in downloaded] == [f"{index:05}.png" for index in range(6)]
    assert all(Image.open(path).size == (64, 64) for path in downloaded)

    kept = person.objects(bucket)
    destroyed = person.cdk("destroy", "--force")
    assert destroyed.returncode == 0, destroyed.stdout
    assert person.objects(bucket) == kept
    assert list(person.cloud.machines) == []
    left = person.cloud.client("ec2").describe_instances()["Reservations"]
    assert {instance["State"]["Name"] for entry in left for instance in entry["Instances"]} == {"terminated"}
    groups = person.cloud.client("ec2").describe_security_groups()["SecurityGroups"]
    assert not [group for group in groups if "sd-on-ec2" in group["Description"]]
    assert len(person.cloud.client("ec2").describe_key_pairs()["KeyPairs"]) == 0
    found = person.sd("results", "--list").splitlines()
    assert len([line for line in found if " done " in line]) == 4


def boots(person: Person, bucket: str, instance_id: str) -> list[Any]:
    """The records of the instance's boots."""
    keys = sorted(person.objects(bucket, f"boots/{instance_id}/"))
    return [person.read(bucket, key) for key in keys if key.endswith(".json")]


@machines_hang()
def test_two_stacks_stand_side_by_side(person: Person) -> None:
    quick = ("--model", "tiny", "--steps", "2", "--height", "64", "--width", "64", "--idle-minutes", "0")
    person.sd("deploy", *quick, "a horse")
    person.sd("deploy", "--stack", "Other", *quick, "a tree")
    client = person.cloud.client("cloudformation")

    def outputs(stack: str) -> dict[str, str]:
        described = client.describe_stacks(StackName=stack)["Stacks"][0]
        return {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}

    first, other = outputs("SdOnEc2"), outputs("Other")
    assert all(first[name] != other[name] for name in ("ResultsBucket", "InstanceId"))
    assert "a-tree-" in person.sd("status", "--stack", "Other")
    assert "a-horse-" in person.sd("status")

    person.sd("teardown", "--yes", "--stack", "Other")
    assert [stack["StackName"] for stack in client.describe_stacks()["Stacks"]].count("Other") == 0
    assert outputs("SdOnEc2") == first


NONSENSE = {
    "Model": ("unknown", "one of stable-diffusion-v1-5"),
    "Steps": ("0", "a whole number from 1 to 1000, for example 75"),
    "Height": ("63", "a whole number from 64 to 2048, for example 512"),
    "Strength": ("1.5", "a number from 0.01 to 1, for example 0.75"),
    "SshCidr": ("home", "for example 203.0.113.7/32"),
    "Prompt": (" ", "for example"),
}


def test_nonsense_is_refused_before_anything_is_created(person: Person, tmp_path: Path) -> None:
    assembly = str(tmp_path / "cdk.out")
    assert person.run("cdk", "synth", "--quiet", "--output", assembly).returncode == 0
    for name, (value, rule) in NONSENSE.items():
        finished = person.run("cdk", "deploy", "--app", assembly, "--parameters", f"{name}={value}")
        assert finished.returncode != 0
        assert f"Parameter {name} failed to satisfy constraint: must be " in finished.stdout
        assert rule in finished.stdout
        assert list(person.cloud.machines) == []
        assert len(person.cloud.client("ec2").describe_vpcs()["Vpcs"]) == 1
        assert not [b for b in person.cloud.client("s3").list_buckets()["Buckets"] if "results" in b["Name"]]
