"""What boot, worker, stack and command line have agreed on. Standard library only: the boot runs under Python 3.9."""
