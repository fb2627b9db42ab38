"""What boot, worker, stack and commands agree on. Standard library only, because the boot runs under Python 3.9."""
