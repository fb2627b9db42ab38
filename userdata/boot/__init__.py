"""Makes the machine ready for the worker. Standard library only, because the system's Python (3.9 or newer) runs it."""
