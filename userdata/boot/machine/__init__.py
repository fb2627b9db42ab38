"""The machine as the boot sees it: its commands, metadata, disk and power."""
