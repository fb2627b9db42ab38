"""The deployed user data on a machine that really boots, with and without faults. Linux and root only."""
