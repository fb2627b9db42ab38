"""The types that moto's own CloudFormation does well enough."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from moto.cloudformation.parsing import generate_resource_name, get_model_map

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted

NAMES = frozenset(
    {
        "AWS::ECR::Repository",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::KMS::Alias",
        "AWS::KMS::Key",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::SSM::Parameter",
    }
)


@cache
def moto_type(name: str) -> ResourceType:
    """Hands the work to moto's class for a type, which decides for itself what an update replaces, if it has one."""
    model = get_model_map()[name]
    updates = not hasattr(model.update_from_cloudformation_json, "__isabstractmethod__")
    create, delete = partial(_create, model, name), partial(_delete, model, name)
    if not updates:
        return ResourceType(create, delete)
    return ResourceType(create, delete, partial(_update, model, name), frozenset())


def _create(model: Any, kind: str, account: Account, wanted: Wanted) -> Resource:
    """Makes a resource; its name is made up unless the template gives one."""
    given = wanted.properties.get(model.cloudformation_name_type() or "")
    made = model.create_from_cloudformation_json(
        str(given or generate_resource_name(kind, wanted.stack_name, wanted.logical_id)),
        {"Type": kind, "Properties": dict(wanted.properties)},
        account.id,
        account.region,
        LogicalId=wanted.logical_id,
        StackId=wanted.stack_id,
        ResourceType=kind,
    )
    return _resource(made)


def _update(model: Any, kind: str, account: Account, resource: Resource, wanted: Wanted) -> None:
    name = wanted.properties.get(model.cloudformation_name_type()) or resource.physical_resource_id
    changed = _resource(
        model.update_from_cloudformation_json(
            original_resource=resource.moto_object,
            new_resource_name=name,
            cloudformation_json={"Type": kind, "Properties": dict(wanted.properties)},
            account_id=account.id,
            region_name=account.region,
        )
    )
    resource.moto_object, resource.attributes = changed.moto_object, changed.attributes
    resource.physical_resource_id = changed.physical_resource_id


def _delete(model: Any, kind: str, account: Account, resource: Resource) -> None:
    """Deletes a resource as moto does: by the object's own method, or else by the class's."""
    own = getattr(resource.moto_object, "delete", None)
    if own is not None and type(resource.moto_object) is model:
        own(account.id, account.region)
        return
    properties = {"Type": kind, "Properties": dict(resource.properties)}
    model.delete_from_cloudformation_json(resource.physical_resource_id, properties, account.id, account.region)


def _resource(made: Any) -> Resource:
    attributes = getattr(made, "get_cfn_attribute", {})
    return Resource(str(made.physical_resource_id), attributes, moto_object=made)
