"""AWS::Budgets::Budget."""

from __future__ import annotations

from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_parameters import api_parameters
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class Budget(ResourceType):
    """A budget; moto's CloudFormation does not know the type, and nothing is billed here that could pass one."""

    type = "AWS::Budgets::Budget"
    # An update of the budget itself is made in place on AWS; moto's API has none.
    replaced_by = frozenset({"Budget", "NotificationsWithSubscribers"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the budget."""
        budgets = account.client("budgets")
        name = wanted.properties["Budget"].get("BudgetName") or wanted.name()
        asked: dict[str, Any] = {
            "AccountId": account.id,
            "Budget": {**wanted.properties["Budget"], "BudgetName": name},
            "NotificationsWithSubscribers": wanted.properties.get("NotificationsWithSubscribers", []),
        }
        budgets.create_budget(**api_parameters(budgets, "CreateBudget", asked))
        return Resource(name)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the budget."""
        account.client("budgets").delete_budget(AccountId=account.id, BudgetName=resource.physical_resource_id)
