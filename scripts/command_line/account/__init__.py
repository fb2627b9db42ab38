"""Reads what the account has: the deployment, the instance, runs, quotas, zones, prices."""
