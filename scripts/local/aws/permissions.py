"""What moto's IAM refuses, once it is enforced: what AWS would."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from moto import settings
from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.authorization import ActionAuthenticatorMixin
from moto.ec2.responses import EC2Response
from moto.iam.access_control import IAMPolicyStatement, IAMRequestBase, PermissionResult
from moto.sns.responses import SNSResponse
from moto.sqs.responses import SQSResponse
from moto.ssm.responses import SimpleSystemManagerResponse

from scripts.local.aws.policy_conditions import context_of, hold
from scripts.local.aws.replaced import replaced


@contextlib.contextmanager
def permissions_enforced() -> Iterator[None]:
    """Checks signatures and policies of every request while the context lasts.

    AWS's own managed policies allow what they allow there. Told apart are objects and buckets, as moto does,
    parameters, queues, topics, alarms that are set, groups, and an instance that is started, stopped or terminated by
    itself; of everything else a policy must allow all.
    """
    before = settings.INITIAL_NO_AUTH_ACTION_COUNT
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
    try:
        with replaced(
            {
                (IAMRequestBase, "check_action_permitted"): _check_action_permitted,
                (SimpleSystemManagerResponse, "_determine_resource"): _parameter_arn,
                (SQSResponse, "_determine_resource"): _queue_arn,
                (AutoScalingResponse, "_determine_resource"): _group_arn,
                (IAMPolicyStatement, "is_action_permitted"): _if_conditions_hold,
                (CloudWatchResponse, "_determine_resource"): _alarm_arn,
                (EC2Response, "_determine_resource"): _instance_arn,
                (SNSResponse, "_determine_resource"): _topic_arn,
            }
        ):
            yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before


_moto_checks = IAMRequestBase.check_action_permitted


def _check_action_permitted(request: Any, resource: str) -> None:
    """Who may send a message to a queue may send several at once, and so on: IAM knows no right of that name.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    """
    if request._action.startswith("sqs:"):
        request._action = request._action.removesuffix("Batch")
    _moto_checks(request, resource)


_request = threading.local()
MOTO_S_PERMITTED = IAMPolicyStatement.is_action_permitted


def _if_conditions_hold(statement: Any, *given: Any, **more: Any) -> Any:
    conditions = statement._statement.get("Condition") or {}
    if not hold(conditions, getattr(_request, "context", {})):
        return PermissionResult.NEUTRAL
    return MOTO_S_PERMITTED(statement, *given, **more)


def _parameter_arn(request: Any) -> str:
    """The ARN that a request to Parameter Store names, in the form in which moto asks its services for it."""
    name = json.loads(request.body or "{}").get("Name")
    if not name:
        return "*"
    return f"arn:{request.partition}:ssm:{request.region}:{request.current_account}:parameter/{name.lstrip('/')}"


def _queue_arn(request: Any) -> str:
    """The ARN of the queue that a request names, by its address or, as GetQueueUrl does, by its name."""
    asked = json.loads(request.body or "{}")
    name = asked.get("QueueName") or asked.get("QueueUrl", "").rpartition("/")[2]
    return f"arn:{request.partition}:sqs:{request.region}:{request.current_account}:{name}" if name else "*"


def _group_arn(request: Any) -> str:
    """The ARN of the group that a request changes, by its name or by an instance in it. Nobody may read one alone."""
    asked, action = request._get_params(), request._get_action()
    # Here, because moto asks for the ARN in the thread and just before it asks the policies.
    _request.context = context_of(action, asked)
    groups = autoscaling_backends[request.current_account][request.region].autoscaling_groups
    name, instance_id = asked.get("AutoScalingGroupName"), asked.get("InstanceId")
    for group in groups.values():
        if group.name == name or any(one.instance.id == instance_id for one in group.instance_states):
            return "*" if action.startswith("Describe") else str(group.arn)
    return "*"


def _alarm_arn(request: Any) -> str:
    """The ARN of an alarm that is set."""
    if request._get_action() != "SetAlarmState":
        return "*"
    name = request._get_param("AlarmName")
    return f"arn:{request.partition}:cloudwatch:{request.region}:{request.current_account}:alarm:{name}"


def _instance_arn(request: Any) -> str:
    """The ARN of the one instance that is started, stopped or terminated."""
    instances = request._get_param("InstanceIds", [])
    if request._get_action() not in ("StartInstances", "StopInstances", "TerminateInstances") or len(instances) != 1:
        return "*"
    return f"arn:{request.partition}:ec2:{request.region}:{request.current_account}:instance/{instances[0]}"


def _topic_arn(request: Any) -> str:
    """The ARN of the topic that a request names."""
    return request._get_param("TopicArn") or "*"
