"""The machines of emulated instances."""
