"""The worker's process: its settings, its environment, and what it imports and when."""
