"""Ctrl-C, a `kill` and a closed terminal: what a person is told, and that nothing is left behind."""
