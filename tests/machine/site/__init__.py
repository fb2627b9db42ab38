"""The site of a machine test: the account and the servers around a machine, the faults, and what is expected."""
