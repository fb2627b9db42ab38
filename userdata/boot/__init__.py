"""Makes a booted machine ready for the worker. Runs under the system's Python: standard library only, 3.9 or newer."""
