"""The machines that stand for emulated instances: each is a group of processes with a folder for a disk."""
