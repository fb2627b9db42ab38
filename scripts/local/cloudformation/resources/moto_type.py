"""The types that moto's own CloudFormation does well enough."""

from __future__ import annotations

from typing import Any

from moto.cloudformation.parsing import generate_resource_name, get_model_map

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class MotoType(ResourceType):
    """Hands the work to moto's class for a type. Raises `ValueError` for a type that moto does not know."""

    def __init__(self, name: str) -> None:
        if name not in get_model_map():
            raise ValueError(f"The local cloud does not emulate {name}")
        self._name = name
        self._model: Any = get_model_map()[name]

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes it with moto's class; the name is made up unless the template gives one."""
        made = self._model.create_from_cloudformation_json(
            self._physical_name(wanted),
            self._json(wanted.properties),
            account.id,
            account.region,
            LogicalId=wanted.logical_id,
            StackId=wanted.stack_id,
            ResourceType=self._name,
        )
        return self._resource(made)

    def is_replaced(self, before: Any, after: Any) -> bool:
        """Moto's classes decide for themselves, where they have an update at all."""
        return not self._updates and super().is_replaced(before, after)

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Changes it with moto's class."""
        if not self._updates:
            return
        made = self._model.update_from_cloudformation_json(
            original_resource=resource.moto_object,
            new_resource_name=wanted.properties.get(self._model.cloudformation_name_type())
            or resource.physical_resource_id,
            cloudformation_json=self._json(wanted.properties),
            account_id=account.id,
            region_name=account.region,
        )
        changed = self._resource(made)
        resource.moto_object, resource.attributes = changed.moto_object, changed.attributes
        resource.physical_resource_id = changed.physical_resource_id

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes it as moto does: by the object's own method, or else by the class's."""
        own = getattr(resource.moto_object, "delete", None)
        if own is not None and type(resource.moto_object) is self._model:
            own(account.id, account.region)
            return
        self._model.delete_from_cloudformation_json(
            resource.physical_resource_id, self._json(resource.properties), account.id, account.region
        )

    @property
    def _updates(self) -> bool:
        return not hasattr(self._model.update_from_cloudformation_json, "__isabstractmethod__")

    def _json(self, properties: dict[str, Any]) -> dict[str, Any]:
        return {"Type": self._name, "Properties": dict(properties)}

    def _physical_name(self, wanted: Wanted) -> str:
        given = wanted.properties.get(self._model.cloudformation_name_type() or "")
        return str(given or generate_resource_name(self._name, wanted.stack_name, wanted.logical_id))

    @staticmethod
    def _resource(made: Any) -> Resource:
        attributes = getattr(made, "get_cfn_attribute", {})
        return Resource(str(made.physical_resource_id), attributes, moto_object=made)
