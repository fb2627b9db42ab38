"""CloudFormation as AWS documents it, behind moto's API: checked parameters, updates, deletions, rollbacks."""
