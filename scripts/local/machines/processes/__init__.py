"""One emulated instance: its disk, its init process and the commands that stand in for the host's."""
