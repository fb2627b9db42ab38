"""What holds for the worker's process: its settings, its environment, what it imports."""
