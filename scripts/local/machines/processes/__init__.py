"""One emulated instance as a group of processes: its disk, its init, and stand-ins for systemd's commands."""
