"""The tags of everything that is deployed, by which the bill and `sd teardown` find it again."""

# For cost allocation: the budget counts what carries it. A person activates it once, in the Billing console.
PROJECT_TAG, PROJECT = "project", "sd-on-ec2"
# CloudFormation's own tag is missing on volumes, which have the instance's other tags.
STACK_TAG = "sd-on-ec2:stack"
HOLDER_TAG = "sd-on-ec2:held-by"
