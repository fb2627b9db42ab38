"""An account as a person has it after a deploy: a stack, its bucket with runs, its instance. All of it in moto."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import botocore.handlers
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import ClientCreator
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from botocore.loaders import JSONFileLoader, create_loader
from botocore.model import OperationModel, ServiceModel
from moto import mock_aws
from moto.ec2.models import amis

from scripts.command_line.before.account_checks import bootstrap_parameter
from scripts.command_line.fleet import start
from scripts.local.aws.capacity import Capacity
from scripts.local.aws.service_quotas import ec2_quotas
from stacks.facts.tag_names import PROJECT, PROJECT_TAG, STACK_TAG
from stacks.parameters import GROUPS, parameters_of
from tests.deployed_parameters import carried
from userdata.contract.layout import RunKeys
from userdata.contract.status import Failure, Status
from userdata.job.job import Job
from userdata.render import render_user_data

REGION = "us-east-1"
SERVICE_DESCRIPTIONS = create_loader()  # read once: EC2's alone takes a second
PNG = b"\x89PNG not really"

IMAGE = next(image for image in amis.AMIS if image["ami_id"] == "ami-12c6146b")


def _load_one_image(backend: amis.AmiBackend) -> None:
    backend.amis[IMAGE["ami_id"]] = amis.Ami(backend, **IMAGE, owner_alias="amazon")


# moto would make 1,300 images for each test and again after it, which is a third of a test's time.
amis.AmiBackend._load_amis = _load_one_image

# A command reads the descriptions of its services anew, which is another third: EC2's alone takes a quarter second.
_load_json = JSONFileLoader._load_file  # type: ignore[attr-defined]
_loaded = functools.cache(lambda path, opened: _load_json(None, path, opened))
JSONFileLoader._load_file = lambda _, path, opened: _loaded(path, opened)  # type: ignore[attr-defined]

# And it makes a function for each operation of a service anew, for each client: of EC2's there are 750.
_make_model, _make_methods = ClientCreator._load_service_model, ClientCreator._create_methods  # type: ignore[attr-defined]
_models: dict[tuple[str, str | None], ServiceModel] = {}
_methods: dict[ServiceModel, dict[str, Any]] = {}


def _model_once(creator: ClientCreator, name: str, api_version: str | None = None) -> ServiceModel:
    if (name, api_version) not in _models:
        _models[name, api_version] = _make_model(creator, name, api_version)
    return _models[name, api_version]


def _methods_once(creator: ClientCreator, model: ServiceModel) -> dict[str, Any]:
    if model not in _methods:
        _methods[model] = _make_methods(creator, model)
    return dict(_methods[model])


ClientCreator._load_service_model = _model_once  # type: ignore[attr-defined]
ClientCreator._create_methods = _methods_once  # type: ignore[attr-defined]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/no-cache")
    monkeypatch.setattr(start, "LEAVES_WITHIN_SECONDS", 0)  # nobody takes a message here
    # moto has neither API, and would let the questions through to the real ones.
    no_prices = ("before-call.pricing", refusal("AccessDeniedException"))
    paid = ("before-call.freetier", answer({"accountPlanType": "PAID", "accountPlanStatus": "ACTIVE"}))
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, no_prices, paid])
    with mock_aws(), ec2_quotas(), Capacity(quotas={}).limited():
        core = botocore.session.get_session()
        core.register_component("data_loader", SERVICE_DESCRIPTIONS)
        made = boto3.Session(region_name=REGION, botocore_session=core)
        made.client("ssm").put_parameter(Name=bootstrap_parameter(), Value="33", Type="String")
        yield made


def refusal(code: str, status: int = 400) -> Callable[..., None]:
    """A handler of botocore's event `before-call`, which answers in AWS's place: with an error."""

    def refuse(model: OperationModel, **_: object) -> None:
        answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, model.name)

    return refuse


def answer(content: dict[str, Any]) -> Callable[..., Any]:
    """Another such handler: AWS's answer to an operation, as botocore would have read it."""
    return lambda **_: (AWSResponse("", 200, HTTPHeaders(), None), content)


def offer(session: boto3.Session, *types: str, zones: tuple[str, ...] = ("us-east-1b", "us-east-1c")) -> None:
    """From now on, the region offers those types alone, in those zones."""
    offerings = [{"InstanceType": name, "Location": zone} for name in types for zone in zones]
    event = "before-call.ec2.DescribeInstanceTypeOfferings"
    session.events.register_first(event, answer({"InstanceTypeOfferings": offerings}))


def user_data(**parameters: str) -> str:
    """The user data of an instance that was given the parameters."""
    given = {"MaxHours": "12", "OnFailure": "stop", "Region": REGION, "ResultsBucket": "b", **parameters}
    plain, free_text = carried(given)
    return render_user_data(plain=plain, free_text=free_text, bundle_bucket="assets", bundle_key="bundle.zip")


class Account:
    """What lies in the mocked account, and the means to change it."""

    def __init__(self, session: boto3.Session) -> None:
        self.session = session
        self.s3 = session.client("s3")
        self.ec2 = session.client("ec2")
        self.bucket = ""
        self.instance_id = ""
        self.outputs: dict[str, str] = {}

    def deploy(self, settings: str = "{}", **parameters: str) -> None:
        """A small stack with the parameters and the outputs of the real one."""
        if not self.bucket:
            self.bucket = "sdonec2-resultsbucket46167c27-abc"
            self.make_bucket(self.bucket)
        if not self.instance_id:
            launched = self.ec2.run_instances(
                ImageId="ami-12c6146b", MinCount=1, MaxCount=1, UserData=user_data(**parameters)
            )
            self.instance_id = launched["Instances"][0]["InstanceId"]
        defaults = {p.name: p.properties["default"] for model in GROUPS.values() for p in parameters_of(model)}
        described = {**defaults, **parameters}
        template = {
            "Parameters": {
                # As CloudFormation answers them.
                name: {"Type": "String", "Default": re.sub(r"[^\t\n\r\x20-\x7e]", "?", str(described[name]))}
                for name in defaults
            },
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {
                "ResultsBucket": {"Value": self.bucket},
                "InstanceId": {"Value": self.instance_id},
                "Settings": {"Value": settings},
                **{name: {"Value": value} for name, value in self.outputs.items()},
            },
        }
        self.session.client("cloudformation").create_stack(StackName="SdOnEc2", TemplateBody=json.dumps(template))

    def change(self, parameters: Mapping[str, str]) -> None:
        """As an update of the stack does: what is not given stays."""
        client = self.session.client("cloudformation")
        described = client.describe_stacks(StackName="SdOnEc2")["Stacks"][0].get("Parameters", [])
        stand = {one["ParameterKey"]: one["ParameterValue"] for one in described}
        after = {name: re.sub(r"[^\t\n\r\x20-\x7e]", "?", parameters.get(name, value)) for name, value in stand.items()}
        if after != stand:
            listed: Any = [{"ParameterKey": name, "ParameterValue": value} for name, value in after.items()]
            client.update_stack(StackName="SdOnEc2", UsePreviousTemplate=True, Parameters=listed)

    def make_bucket(self, name: str, stack: str = "SdOnEc2", region: str = REGION) -> None:
        """A bucket with the tags that a stack gives it."""
        elsewhere: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != REGION else {}
        self.s3.create_bucket(Bucket=name, **elsewhere)
        tags = {PROJECT_TAG: PROJECT, STACK_TAG: stack}
        tag_set: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_set})

    def replace_instance(self) -> None:
        """A new instance for the stack that stands."""
        self.instance_id = ""
        self.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
        self.deploy()

    def launch_spot(self) -> None:
        """The instance, to be deployed next, as a spot instance."""
        market = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
        launched = self.ec2.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            InstanceMarketOptions=market,  # type: ignore[arg-type]
        )
        self.instance_id = launched["Instances"][0]["InstanceId"]

    def put_run(self, run_id: str, *, images: int = 2, phase: str = "done", started_at: str = "2026-01-01") -> None:
        keys = RunKeys(run_id)
        failure = Failure("weights", "The disk is full.", "the log") if phase == "failed" else None
        status = Status(run_id, "i-1", phase, images, images, started_at=started_at, error=failure)
        if phase == "capped":
            status.note, status.max_spend = "MaxSpend is $2.", 2.0
        self.put(keys.status, status.to_json().encode())
        for index in range(images):
            self.put(keys.image(index), PNG + bytes([index]))
            self.put(keys.image_metadata(index), b"{}")
        self.put(keys.grid(0), PNG)

    def put(self, key: str, body: bytes) -> None:
        self.put_into(self.bucket, key, body)

    def put_into(self, bucket: str, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def state(self) -> str:
        described = self.ec2.describe_instances(InstanceIds=[self.instance_id])
        return described["Reservations"][0]["Instances"][0]["State"]["Name"]


@pytest.fixture
def account(session: boto3.Session) -> Account:
    return Account(session)


def run_of(**parameters: Any) -> str:
    return Job.model_validate(parameters).name
