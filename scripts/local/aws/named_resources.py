"""Which resource a request names, and what the keys of a policy's conditions say of it.

moto tells apart objects, buckets and, where they exist, roles. Here are those of the services whose resources the
stack's roles or a person's policy name; whatever else is asked for, a policy must allow for all resources.
Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudwatch.responses import CloudWatchResponse
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse
from moto.scheduler.responses import EventBridgeSchedulerResponse
from moto.servicequotas.responses import ServiceQuotasResponse
from moto.sns.responses import SNSResponse
from moto.sqs.responses import SQSResponse
from moto.ssm.responses import SimpleSystemManagerResponse

from scripts.local.aws.policy_conditions import TAG, context_of

ALL = "*"
# Those that name one instance. `Describe...` of EC2 looks at all, but for an attribute.
OF_AN_INSTANCE = (
    "DescribeInstanceAttribute", "GetConsoleOutput", "StartInstances", "StopInstances", "TerminateInstances",
)  # fmt: skip
Named = tuple[str, Mapping[str, str]]


def _arn(request: Any, service: str, name: str, *, region: str | None = None) -> str:
    where = request.region if region is None else region
    return f"arn:{request.partition}:{service}:{where}:{request.current_account}:{name}"


def _parameter(request: Any) -> Named:
    name = json.loads(request.body or "{}").get("Name")
    return _arn(request, "ssm", f"parameter/{name.lstrip('/')}") if name else ALL, {}


def _queue(request: Any) -> Named:
    """By its address or, as GetQueueUrl does, by its name."""
    asked = json.loads(request.body or "{}")
    name = asked.get("QueueName") or asked.get("QueueUrl", "").rpartition("/")[2]
    return _arn(request, "sqs", name) if name else ALL, {}


def _group(request: Any) -> Named:
    """The group that a request changes, by its name or by an instance in it. Nobody may read one alone."""
    asked, action = request._get_params(), request._get_action()
    groups = autoscaling_backends[request.current_account][request.region].autoscaling_groups
    name, instance_id = asked.get("AutoScalingGroupName"), asked.get("InstanceId")
    for group in groups.values():
        if group.name == name or any(one.instance.id == instance_id for one in group.instance_states):
            tags = _tagged({tag["Key"]: tag["Value"] for tag in group.tags})
            return ALL if action.startswith("Describe") else str(group.arn), {**tags, **context_of(action, asked)}
    return ALL, context_of(action, asked)


def _alarm(request: Any) -> Named:
    """An alarm that is set."""
    is_set = request._get_action() == "SetAlarmState"
    return _arn(request, "cloudwatch", f"alarm:{request._get_param('AlarmName')}") if is_set else ALL, {}


def _instance(request: Any) -> Named:
    """The one instance that is named, with its tags; of several a policy must allow all."""
    names = request._get_param("InstanceIds", []) or [request._get_param("InstanceId")]
    if request._get_action() not in OF_AN_INSTANCE or len(names) != 1:
        return ALL, {}
    tags = ec2_backends[request.current_account][request.region].tags.get(names[0], {})
    return _arn(request, "ec2", f"instance/{names[0]}"), _tagged(tags)


def _stack(request: Any) -> Named:
    """By its ARN or its name, of which the id is unknown."""
    name = request._get_param("StackName")
    if not name or name.startswith("arn:"):
        return name or ALL, {}
    return _arn(request, "cloudformation", f"stack/{name}/*"), {}


def _schedule(request: Any) -> Named:
    """By the last part of the request's path: `/schedules/NAME`."""
    name = request.parsed_url.path.rpartition("/schedules/")[2]
    return _arn(request, "scheduler", f"schedule/default/{name}") if name and "/" not in name else ALL, {}


def _role(request: Any) -> Named:
    """By its name. Of one that is not there IAM knows no path."""
    name = request._get_param("RoleName")
    roles = iam_backends[request.current_account][request.partition].roles.values()
    there = [str(role.arn) for role in roles if role.name == name]
    return there[0] if there else _arn(request, "iam", f"role/{name}", region="") if name else ALL, {}


def _quota(request: Any) -> Named:
    """A quota that more is asked of."""
    if request._get_action() != "RequestServiceQuotaIncrease":
        return ALL, {}
    asked = json.loads(request.body)
    return _arn(request, "servicequotas", f"{asked['ServiceCode']}/{asked['QuotaCode']}"), {}


def _topic(request: Any) -> Named:
    return request._get_param("TopicArn") or ALL, {}


def _tagged(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"{TAG}{name}": value for name, value in tags.items()}


NAMED: dict[type, Callable[[Any], Named]] = {
    AutoScalingResponse: _group,
    CloudFormationResponse: _stack,
    CloudWatchResponse: _alarm,
    EC2Response: _instance,
    EventBridgeSchedulerResponse: _schedule,
    IamResponse: _role,
    SNSResponse: _topic,
    ServiceQuotasResponse: _quota,
    SQSResponse: _queue,
    SimpleSystemManagerResponse: _parameter,
}
