"""The regions in which CloudFormation makes no budget: the service itself is one for all regions."""

# Source: the schemas of CloudFormation's registry for each region, as cfn-lint 1.58.0 holds them (2026-11). AWS's own
# words there: "Template format error: Unrecognized resource types: [AWS::Budgets::Budget]".
WITHOUT_BUDGETS = frozenset(
    {
        "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-3", "ap-south-2", "ap-southeast-3", "ap-southeast-4",
        "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1", "eu-central-2", "eu-north-1", "eu-south-1",
        "eu-south-2", "il-central-1", "me-central-1", "mx-central-1", "us-gov-east-1", "us-gov-west-1",
    }
)  # fmt: skip
INSTEAD = "leave -c budget out, and make the budget in the Billing console, which serves every region"


def why_no_budget(region: str) -> str | None:
    """Why a stack in that region cannot have a budget; None where it can."""
    return f"CloudFormation makes no budget in {region}" if region in WITHOUT_BUDGETS else None
