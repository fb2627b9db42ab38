"""The local cloud: the same stack and the same user data on this machine, without an AWS account."""
