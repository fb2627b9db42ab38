"""CloudFormation as the real service behaves, behind moto's API: checked parameters, updates, deletions, rollbacks."""
