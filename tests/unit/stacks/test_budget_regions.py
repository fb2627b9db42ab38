"""Where CloudFormation makes no budget, the setting is refused; the list is that of cfn-lint's schemas."""

from __future__ import annotations

import pytest
from cfnlint.helpers import REGIONS
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

from stacks.facts.budget_regions import WITHOUT_BUDGETS
from stacks.facts.settings import settings_from_context

BUDGET = {"budget": "10", "budget_email": "me@example.com"}


def has_budgets(region: str) -> bool:
    try:
        PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, "AWS::Budgets::Budget")
    except ResourceNotFoundError:
        return False
    return True


def test_the_list_is_that_of_the_schemas() -> None:
    assert {region for region in REGIONS if not has_budgets(region)} == WITHOUT_BUDGETS


def test_a_budget_is_refused_there_and_nothing_else() -> None:
    with pytest.raises(SystemExit, match=r"-c budget=10: CloudFormation makes no budget in eu-north-1"):
        settings_from_context(BUDGET, region="eu-north-1")
    assert settings_from_context({}, region="eu-north-1").budget is None
    for region in ("", "us-east-1"):
        assert settings_from_context(BUDGET, region=region).budget == 10
