"""A monthly budget over everything that carries the project's tag, with e-mails before and when it is passed."""

from __future__ import annotations

from aws_cdk import aws_budgets as budgets
from constructs import Construct

from stacks.facts.tag_names import PROJECT, PROJECT_TAG

# Of the budget, in percent: early enough to act on, since billing data is 8 to 12 hours old; and the whole of it.
ACTUAL_PERCENT = (80, 100)


class Budget(Construct):
    """Mails are sent; nothing is stopped: the guards do that, within minutes, while a budget's figures come next day.

    The tag counts from the day on which a person has activated it for cost allocation in the Billing console.
    """

    def __init__(self, scope: Construct, construct_id: str, *, usd_per_month: float, email: str) -> None:
        super().__init__(scope, construct_id)
        self.budget = budgets.CfnBudget(
            self,
            "Monthly",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=usd_per_month, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:{PROJECT_TAG}${PROJECT}"]},
            ),
            notifications_with_subscribers=[
                *(_notification("ACTUAL", percent, email) for percent in ACTUAL_PERCENT),
                _notification("FORECASTED", 100, email),
            ],
        )


def _notification(kind: str, percent: int, email: str) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
    return budgets.CfnBudget.NotificationWithSubscribersProperty(
        notification=budgets.CfnBudget.NotificationProperty(
            notification_type=kind,
            comparison_operator="GREATER_THAN",
            threshold=percent,
            threshold_type="PERCENTAGE",
        ),
        subscribers=[budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=email)],
    )
