"""Files of this machine go into the results bucket before the deploy that names them, on a first deploy too."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file
from typer.testing import CliRunner

from scripts.command_line.account.deployment import find_standing
from scripts.command_line.account.plan import make_plan
from scripts.command_line.deploying.deploy import deploy
from scripts.command_line.deploying.local_files import find_model_files
from scripts.command_line.main import app
from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.settings import BUCKET_ALONE
from tests.unit.command_line.conftest import REGION, Account
from tests.unit.command_line.deploying.test_capacity import BEGUN, NO_CAPACITY, event, tell
from tests.unit.command_line.deploying.test_way_out import Cdk, set_state
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.lora_list import LONGEST_LORAS, MOST_LORAS
from userdata.contract.run_name import run_name
from userdata.job.job import Job

KEY = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


class Deploys:
    """Takes the place of the CDK CLI: makes the bucket, then the whole stack, and keeps what lay there before."""

    def __init__(self, account: Account, *, fails: bool = False) -> None:
        self._account = account
        self._fails = fails
        self.calls: list[tuple[dict[str, str], dict[str, str], set[str]]] = []

    def __call__(self, session: object, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        self.calls.append((dict(parameters), dict(context), keys_of(self._account)))
        if self._fails:
            raise CommandError("`cdk deploy` failed")
        if context.get(BUCKET_ALONE):
            stack_with_bucket(self._account)
        elif not self._account.instance_id:
            self._account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
            self._account.deploy(**parameters)
        self._account.change(parameters)


def stack_with_bucket(account: Account) -> None:
    account.bucket = "made-first"
    account.s3.create_bucket(Bucket=account.bucket)
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"ResultsBucket": {"Value": account.bucket}, "Settings": {"Value": "{}"}},
    }
    account.session.client("cloudformation").create_stack(StackName="SdOnEc2", TemplateBody=json.dumps(template))


def keys_of(account: Account) -> set[str]:
    if not account.bucket:
        return set()
    return {one["Key"] for one in account.s3.list_objects_v2(Bucket=account.bucket).get("Contents", [])}


def run(account: Account, cdk: Deploys, given: dict[str, str], context: tuple[str, ...] = ()) -> None:
    deploy(
        account.session, stack="SdOnEc2", given={"Model": "tiny", **given}, context=context, fetch_to=None,
        console=Console(file=io.StringIO()), cdk=cdk, yes=True,
    )  # fmt: skip


def save_lora(file: Path, *, width: int = 64, up: float = 1.0, key: str = KEY) -> Path:
    save_file({f"{key}.lora_A.weight": torch.ones(2, width), f"{key}.lora_B.weight": torch.full((width, 2), up)}, file)
    return file


@pytest.fixture
def width() -> int:
    from userdata.worker.model.empty_model import empty_networks

    weight = empty_networks("tiny")["unet"].get_submodule(KEY.removeprefix("unet.")).weight
    return int(weight.shape[0])


def key_of(file: Path, stem: str) -> str:
    return f"inputs/{stem}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}{file.suffix}"


@pytest.fixture
def files(tmp_path: Path, width: int) -> dict[str, str]:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "horse.png")
    (tmp_path / "prompts.txt").write_text("a horse\na tree <lora:my style:0.5>\n")
    save_lora(tmp_path / "my style.safetensors", width=width)
    return {
        "InitImage": str(tmp_path / "horse.png"),
        "PromptFile": str(tmp_path / "prompts.txt"),
        "Lora": f"{tmp_path / 'my style.safetensors'}:0",
    }


def test_on_a_first_deploy_the_bucket_is_made_and_filled_before_the_rest(
    account: Account, files: dict[str, str]
) -> None:
    deploys = Deploys(account)
    run(account, deploys, files, context=("keep_results=false",))
    style = key_of(Path(files["Lora"][:-2]), "my-style")
    keys = {
        "InitImage": key_of(Path(files["InitImage"]), "horse"),
        "PromptFile": key_of(Path(files["PromptFile"]), "prompts"),
    }
    settings = {"keep_results": "false"}
    assert deploys.calls == [
        ({}, {**settings, BUCKET_ALONE: "true"}, set()),
        ({"Model": "tiny", **keys, "Lora": f"{style}:0"}, settings, {*keys.values(), style}),
    ]


def test_the_run_of_a_first_deploy_from_an_image_is_the_instances(account: Account, files: dict[str, str]) -> None:
    """Its size is left to the image, as the template's defaults say: the name of the run depends on it."""
    deploys = Deploys(account)
    run(account, deploys, {"InitImage": files["InitImage"]})
    standing = find_standing(account.session, "SdOnEc2")
    assert standing
    plan = make_plan(None, deploys.calls[-1][0], {})
    assert plan.run_id == run_name(standing.parameters)


def test_a_first_deploy_without_files_is_one_deploy(account: Account) -> None:
    deploys = Deploys(account)
    run(account, deploys, {})
    assert deploys.calls == [({"Model": "tiny"}, {}, set())]


def test_a_first_deploy_into_a_bucket_of_ones_own_uploads_there(account: Account, files: dict[str, str]) -> None:
    deploys = Deploys(account)
    with pytest.raises(CommandError, match="there is no bucket my-pictures"):
        run(account, deploys, files, context=("output_bucket=my-pictures",))
    assert deploys.calls == []
    account.bucket = "my-pictures"
    account.s3.create_bucket(Bucket=account.bucket)
    run(account, deploys, files, context=("output_bucket=my-pictures",))
    assert [(len(keys), BUCKET_ALONE in context) for _, context, keys in deploys.calls] == [(3, False)]


def test_a_first_deploy_that_ended_after_the_bucket_goes_on(account: Account, files: dict[str, str]) -> None:
    stack_with_bucket(account)
    assert find_standing(account.session, "SdOnEc2") is None
    deploys = Deploys(account, fails=True)
    with pytest.raises(CommandError, match="failed\nThe uploaded files stay in the bucket made-first: "):
        run(account, deploys, files)
    [(_, context, keys)] = deploys.calls
    assert (BUCKET_ALONE in context, len(keys)) == (False, 3), "the bucket is there already"
    deploys = Deploys(account)
    run(account, deploys, {"InitImage": next(key for key in keys if key.endswith(".png"))})
    assert [context for _, context, _ in deploys.calls] == [{}], "a key is found in such a bucket too"


def test_the_bucket_of_a_first_deploy_that_cannot_be_made_leaves_nothing(
    account: Account, files: dict[str, str]
) -> None:
    deploys = Deploys(account, fails=True)
    with pytest.raises(CommandError, match="^`cdk deploy` failed$"):
        run(account, deploys, files)
    assert [BUCKET_ALONE in context for _, context, _ in deploys.calls] == [True]


def test_a_lora_that_lies_there_is_not_uploaded_again(account: Account, files: dict[str, str]) -> None:
    account.deploy()
    deploys = Deploys(account)
    for _ in range(2):
        run(account, deploys, {"Lora": files["Lora"]})
        (key,) = keys_of(account)
        (version,) = account.s3.list_object_versions(Bucket=account.bucket)["Versions"]
    account.s3.put_object(Bucket=account.bucket, Key=key, Body=b"cut off")
    run(account, deploys, {"Lora": files["Lora"]})
    assert account.s3.head_object(Bucket=account.bucket, Key=key)["ContentLength"] == version["Size"]


def test_a_stack_that_stands_never_becomes_a_bucket_alone(account: Account, files: dict[str, str]) -> None:
    account.deploy(settings='{"output_bucket": "my-pictures"}')
    deploys = Deploys(account)
    with pytest.raises(CommandError, match="SdOnEc2 gets a bucket of its own.*Deploy without a file first"):
        run(account, deploys, files, context=("output_bucket=",))
    assert deploys.calls == []


def test_the_files_are_named_again_where_aws_has_no_instance(account: Account, files: dict[str, str]) -> None:
    """Their keys would be refused: as long as no stack stands, there is no bucket to look into."""

    def refused(session: object, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        if context.get(BUCKET_ALONE):
            stack_with_bucket(account)
            return
        now = {"Timestamp": datetime.now(UTC)}
        tell(account.session, event(1, "CREATE_FAILED", NO_CAPACITY) | now, BEGUN | now)
        raise CommandError("`cdk deploy` failed")

    with pytest.raises(CommandError, match="every zone") as error:
        deploy(
            account.session, stack="SdOnEc2", given={"Model": "tiny", **files}, context=(), fetch_to=None,
            console=Console(quiet=True), cdk=refused,
        )  # fmt: skip
    words = shlex.split(str(error.value).partition("every zone: ")[2])
    for name, option in (("InitImage", "init-image"), ("PromptFile", "prompt-file"), ("Lora", "lora")):
        assert f"--{option}={files[name]}" in words


@pytest.mark.parametrize("command", ["status", "start", "stop", "hold"])
def test_a_command_for_an_instance_says_that_the_bucket_stands_alone(account: Account, command: str) -> None:
    stack_with_bucket(account)
    done = CliRunner().invoke(app, [command, "--region", REGION])
    assert isinstance(done.exception, CommandError)
    assert "SdOnEc2 has its results bucket alone" in str(done.exception)
    assert "`sd deploy` makes the rest" in str(done.exception)


def test_a_stuck_stack_is_freed_for_a_lora_of_this_machine(account: Account, files: dict[str, str]) -> None:
    account.deploy()
    set_state("UPDATE_ROLLBACK_FAILED")
    cdk = Cdk(account)
    cdk.run(Model="tiny", Lora=files["Lora"])
    assert [one for one, _ in cdk.done] == ["rollback", "deploy"]


NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "given", "why"),
    [
        (lambda file, width: save_lora(file, width=width + 1), {}, "does not fit the model: 1 of its 1 layers"),
        (lambda file, width: save_lora(file, width=width, up=NAN), {}, "is broken: 1 of its 1 layers hold what is no"),
        (lambda file, width: save_lora(file, width=width, up=0.0), {}, "changes nothing"),
        (lambda file, _: file.write_text("<html>"), {}, r"is no safetensors file \(it is a web page"),
        (lambda file, _: save_file({"model.x": torch.ones(1)}, file), {}, "is no LoRA: none of its 1 tensors"),
        (
            lambda file, width: save_lora(file, width=width),
            {"Prompt": "a <lora:other>"},
            "asks for the LoRA other, but",
        ),
        (lambda file, width: save_lora(file, width=width), {"Model": "sdxl-base"}, "does not fit the model"),
    ],
)
def test_a_lora_that_would_be_refused_is_refused_before_anything_is_made(
    account: Account, tmp_path: Path, width: int, make: Callable[[Path, int], None], given: dict[str, str], why: str
) -> None:
    make(tmp_path / "style.safetensors", width)
    deploys = Deploys(account)
    with pytest.raises(CommandError, match=why):
        run(account, deploys, {"Lora": str(tmp_path / "style.safetensors"), **given})
    assert deploys.calls == []


def test_a_lora_for_ones_own_checkpoint_is_looked_at_by_its_names(account: Account, tmp_path: Path) -> None:
    """The model's layers are known only where its file is."""
    account.deploy()
    account.put("own.safetensors", b"weights")
    own = {"Model": f"s3://{account.bucket}/own.safetensors"}
    deploys = Deploys(account)
    run(account, deploys, {**own, "Lora": str(save_lora(tmp_path / "style.safetensors", width=7))})
    assert len(deploys.calls) == 1
    save_file({"model.x": torch.ones(1)}, tmp_path / "style.safetensors")
    with pytest.raises(CommandError, match="is no LoRA"):
        run(account, deploys, {**own, "Lora": str(tmp_path / "style.safetensors")})


@pytest.mark.parametrize("place", ["inputs/style.safetensors", "s3://{bucket}/inputs/style.safetensors"])
def test_a_lora_in_a_bucket_is_looked_into(account: Account, tmp_path: Path, width: int, place: str) -> None:
    account.deploy()
    given = {"Lora": f"{place.format(bucket=account.bucket)}:0.5"}
    deploys = Deploys(account)
    with pytest.raises(CommandError, match=rf"There is no object s3://{account.bucket}/inputs/style\.safetensors"):
        run(account, deploys, given)
    account.put("inputs/style.safetensors", save_lora(tmp_path / "a.safetensors", width=width + 1).read_bytes())
    with pytest.raises(CommandError, match=r"The LoRA style\.safetensors does not fit the model"):
        run(account, deploys, given)
    assert deploys.calls == []
    account.put("inputs/style.safetensors", save_lora(tmp_path / "a.safetensors", width=width).read_bytes())
    run(account, deploys, given)
    assert deploys.calls[0][0]["Lora"] == given["Lora"]


def test_a_key_on_a_first_deploy_is_refused(account: Account) -> None:
    for name, key in (("Lora", "inputs/style.safetensors"), ("InitImage", "inputs/horse.png")):
        with pytest.raises(CommandError, match="there is no results bucket yet") as refusal:
            run(account, Deploys(account), {name: key})
    assert refusal.value.exit_status == 2


@pytest.mark.parametrize(
    ("lora", "why"),
    [
        ("./style.safetensors", "there is no such file here"),
        ("style.safetensors:0.5", "there is no such file here"),
        ("hf:o/n/Realistic Vision (v5).safetensors", "cannot have ' '"),
        ("s3://bucket/style(1).safetensors", r"cannot have '\('"),
        (f"{'long' * 2000}.safetensors", "there is no such file here"),
        ("a\0b.safetensors", "there is no such file here"),
    ],
)
def test_what_is_no_place_is_refused_by_what_is_wrong_with_it(lora: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        find_model_files({"Lora": lora})


@pytest.mark.parametrize("name", ["InitImage", "PromptFile"])
def test_a_text_that_no_file_can_be_called_is_no_traceback(account: Account, name: str) -> None:
    with pytest.raises(CommandError, match="must be a file here"):
        run(account, Deploys(account), {name: "x" * 5000})


def test_files_and_places_may_be_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a, b.safetensors", "c:1.safetensors", "d.safetensors"):
        save_lora(tmp_path / name)
    c, d = key_of(tmp_path / "c:1.safetensors", "c-1"), key_of(tmp_path / "d.safetensors", "d")
    given, uploads = find_model_files({"Lora": "c:1.safetensors, hf:o/n/x.safetensors:0.5 ,./d.safetensors:-1"})
    assert given["Lora"] == f"{c},hf:o/n/x.safetensors:0.5,{d}:-1"
    assert {key: str(file) for key, file in uploads.items()} == {c: "c:1.safetensors", d: "d.safetensors"}
    given, _ = find_model_files({"Lora": "a, b.safetensors"})
    assert given["Lora"] == key_of(tmp_path / "a, b.safetensors", "a-b")


def test_as_many_files_as_may_be_listed_fit_whatever_they_are_called(tmp_path: Path) -> None:
    files = [save_lora(tmp_path / f"{letter * 200}.safetensors") for letter in "abcd"[:MOST_LORAS]]
    given, _ = find_model_files({"Lora": ",".join(f"{file}:-8.125" for file in files)})
    assert len(given["Lora"]) <= LONGEST_LORAS


def test_a_vae_and_embeddings_of_this_machine_get_keys(tmp_path: Path) -> None:
    vae, one, other = (tmp_path / name for name in ("my vae.pt", "one.pt", "two.safetensors"))
    for file in (vae, one, other):
        file.write_bytes(file.name.encode())
    named, uploads = find_model_files({"Vae": str(vae), "Embeddings": f"{one},{other}, hf:o/n/c.bin"})
    assert set(uploads.values()) == {vae, one, other}
    by_file = {file: key for key, file in uploads.items()}
    assert named == {"Vae": by_file[vae], "Embeddings": f"{by_file[one]},{by_file[other]},hf:o/n/c.bin"}
    job = Job.model_validate(named)
    assert [one.name for one in listed_embeddings(job.embeddings)] == ["one", "two", "c"]
