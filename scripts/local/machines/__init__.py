"""The machines that stand for emulated instances."""
